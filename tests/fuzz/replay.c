/*
 * Gives a target the files that are named, one after the other: for any compiler, and in "make
 * check".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"

enum { SIZE_MOST = 1024 * 1024 };

static void play(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = mem_new(SIZE_MOST);
	uint8_t *exact;
	size_t size;

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	size = fread(bytes, 1, SIZE_MOST, file);
	(void)fclose(file);
	/* Of its very size, so that a byte read behind it is seen. */
	exact = mem_new(size == 0 ? 1 : size);
	for (size_t i = 0; i < size; i++)
		exact[i] = bytes[i];
	free(bytes);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		play(argv[i]);
	printf("%d\n", argc - 1);
	return 0;
}
