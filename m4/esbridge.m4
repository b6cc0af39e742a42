dnl Macros of esbridge's configure.ac.

dnl ESB_NEED_LIBRARY(VARIABLE, MODULES of pkg-config, name for people, Debian package)
dnl As PKG_CHECK_MODULES, but what is missing is remembered for ESB_STOP_IF_MISSING.
AC_DEFUN([ESB_NEED_LIBRARY], [
PKG_CHECK_MODULES([$1], [$2], [], [
	esb_missing="$esb_missing
  $3 was not found (pkg-config: $2): apt install $4"
	esb_packages="$esb_packages $4"
])
])

dnl ESB_NEED_PROGRAM(VARIABLE, program, Debian package)
AC_DEFUN([ESB_NEED_PROGRAM], [
AC_PATH_PROG([$1], [$2], [no])
AS_IF([test "$[$1]" = no], [
	esb_missing="$esb_missing
  $2 was not found: apt install $3"
	esb_packages="$esb_packages $3"
])
])

dnl ESB_STOP_IF_MISSING: ends configure with the list of all that is missing.
AC_DEFUN([ESB_STOP_IF_MISSING], [
AS_IF([test -n "$esb_missing"], [
	AC_MSG_ERROR([something that esbridge needs is missing:
$esb_missing

All at once:  apt install$esb_packages])
])
])

dnl ESB_C_FLAGS(VARIABLE, FLAGS): adds each flag that the compiler takes to VARIABLE.
AC_DEFUN([ESB_C_FLAGS], [
AC_SUBST([$1])
for esb_flag in m4_normalize([$2]); do
	AC_MSG_CHECKING([whether $CC takes $esb_flag])
	esb_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS $[$1] -Werror $esb_flag"
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int main(void) { return 0; }]])],
		[AC_MSG_RESULT([yes])
		 $1="$[$1] $esb_flag"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$esb_saved_cflags
done
])

dnl ESB_LD_FLAGS(VARIABLE, FLAGS): the same for linking.
AC_DEFUN([ESB_LD_FLAGS], [
AC_SUBST([$1])
for esb_flag in m4_normalize([$2]); do
	AC_MSG_CHECKING([whether the linker takes $esb_flag])
	esb_saved_ldflags=$LDFLAGS
	LDFLAGS="$LDFLAGS $[$1] $esb_flag"
	AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])
		 $1="$[$1] $esb_flag"],
		[AC_MSG_RESULT([no])])
	LDFLAGS=$esb_saved_ldflags
done
])

dnl ESB_FORTIFY(LEVEL, otherwise): _FORTIFY_SOURCE=LEVEL where compiler and libc know it.
AC_DEFUN([ESB_FORTIFY], [
AC_MSG_CHECKING([whether _FORTIFY_SOURCE=$1 works])
esb_saved_cflags=$CFLAGS
CFLAGS="$CFLAGS -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$1"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [])], [esb_fortify=yes], [esb_fortify=no])
CFLAGS=$esb_saved_cflags
AC_MSG_RESULT([$esb_fortify])
AS_IF([test "$esb_fortify" = yes],
	[OUR_CPPFLAGS="$OUR_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$1"],
	[$2])
])

dnl ESB_HARDENING: what makes an exploit harder. _FORTIFY_SOURCE needs optimisation, so it follows CFLAGS.
AC_DEFUN([ESB_HARDENING], [
AC_SUBST([OUR_CPPFLAGS])
ESB_C_FLAGS([OUR_CFLAGS], [-fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE])
ESB_LD_FLAGS([OUR_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now])
AS_CASE([" $CFLAGS "],
	[*" -O0 "*], [],
	[*" -O"*], [ESB_FORTIFY([3], [ESB_FORTIFY([2], [:])])])
])
