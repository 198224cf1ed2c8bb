/* Counts what CPython's allocators are asked for: every malloc, calloc and realloc of the three
 * domains, and the octets.  One thread at a time: the GIL is held by whoever allocates an object,
 * and a benchmark has no other threads that allocate raw memory.
 */
#include <Python.h>

static unsigned long long calls, octets;
static int counting;
/* The allocator of small objects asks that of raw memory for large ones: once is enough. */
static int inside;

/* One for each domain, with what it stands in front of. */
static PyMemAllocatorEx behind[3];

static void count(size_t size) {
    if (inside++ == 0) {
        calls++;
        octets += size;
    }
}

static void *count_malloc(void *context, size_t size) {
    PyMemAllocatorEx *next = context;
    count(size);
    void *block = next->malloc(next->ctx, size);
    inside--;
    return block;
}

static void *count_calloc(void *context, size_t number, size_t size) {
    PyMemAllocatorEx *next = context;
    count(number * size);
    void *block = next->calloc(next->ctx, number, size);
    inside--;
    return block;
}

static void *count_realloc(void *context, void *block, size_t size) {
    PyMemAllocatorEx *next = context;
    count(size);
    void *moved = next->realloc(next->ctx, block, size);
    inside--;
    return moved;
}

static void pass_free(void *context, void *block) {
    PyMemAllocatorEx *next = context;
    next->free(next->ctx, block);
}

void h2o_start(void) {
    if (counting)
        return;
    counting = 1;
    calls = octets = 0;
    for (int domain = PYMEM_DOMAIN_RAW; domain <= PYMEM_DOMAIN_OBJ; domain++) {
        PyMemAllocatorEx counter = {&behind[domain], count_malloc, count_calloc, count_realloc, pass_free};
        PyMem_GetAllocator(domain, &behind[domain]);
        PyMem_SetAllocator(domain, &counter);
    }
}

void h2o_stop(void) {
    if (!counting)
        return;
    counting = 0;
    for (int domain = PYMEM_DOMAIN_RAW; domain <= PYMEM_DOMAIN_OBJ; domain++)
        PyMem_SetAllocator(domain, &behind[domain]);
}

unsigned long long h2o_calls(void) { return calls; }

unsigned long long h2o_octets(void) { return octets; }
