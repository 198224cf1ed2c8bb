/* CPU time of libnghttp2 driven from C: what the benchmarks of the engine and of HPACK compare with.
 *
 *   libnghttp2 engine FILE REQUESTS BATCH    a client's and a server's session of one process
 *   libnghttp2 hpack FILE BLOCKS             deflate and inflate of the request blocks
 *
 * FILE has field sections: a line "name TAB value" for each field, an empty line after each section, and
 * a line "--" between those of the requests and those of the responses.  The result is one line of JSON.
 *
 * The program keeps nothing of what it receives beyond counting it, and hands fields over without copies:
 * the least that a program can do with the library.
 */
#include <nghttp2/nghttp2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECTIONS_MAX 4096
#define FIELDS_MAX 64
#define BODY_BYTES 64

typedef struct {
    nghttp2_nv fields[FIELDS_MAX];
    size_t count;
} section;

typedef struct {
    uint8_t *octets;
    size_t size, room;
} buffer;

static section requests[SECTIONS_MAX], responses[SECTIONS_MAX];
static size_t request_count, response_count;
static uint8_t body[BODY_BYTES];
static uint64_t fields_received, octets_received, responses_done;

static void fail(const char *what, long code) {
    fprintf(stderr, "libnghttp2: %s (%ld)\n", what, code);
    exit(1);
}

static int64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_sections(const char *path) {
    static char line[65536];
    section *into = requests;
    size_t *count = &request_count;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail("cannot open the file of fields", 0);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, "--") == 0) {
            into = responses;
            count = &response_count;
        } else if (line[0] == 0) {
            if (++*count == SECTIONS_MAX)
                fail("too many sections", SECTIONS_MAX);
        } else {
            char *tab = strchr(line, '\t');
            section *s = &into[*count];
            if (tab == NULL || s->count == FIELDS_MAX)
                fail("no tab in a line, or too many fields", (long)s->count);
            *tab = 0;
            nghttp2_nv *nv = &s->fields[s->count++];
            nv->name = (uint8_t *)strdup(line);
            nv->namelen = strlen(line);
            nv->value = (uint8_t *)strdup(tab + 1);
            nv->valuelen = strlen(tab + 1);
            nv->flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
        }
    }
    fclose(file);
    if (request_count == 0)
        fail("no section in the file", 0);
}

/* -- the engine */

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    (void)session, (void)stream_id, (void)source, (void)user;
    if (room < BODY_BYTES)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    memcpy(to, body, BODY_BYTES);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return BODY_BYTES;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes, const uint8_t *value,
                     size_t value_bytes, uint8_t flags, void *user) {
    (void)session, (void)frame, (void)name, (void)value, (void)flags, (void)user;
    fields_received++;
    octets_received += name_bytes + value_bytes;
    return 0;
}

static int on_server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        const section *s = &responses[(size_t)frame->hd.stream_id % response_count];
        nghttp2_data_provider provider = {.source = {.ptr = NULL}, .read_callback = read_body};
        int code = nghttp2_submit_response(session, frame->hd.stream_id, s->fields, s->count, &provider);
        if (code != 0)
            fail("submit_response", code);
    }
    return 0;
}

static int on_client_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n, void *user) {
    (void)session, (void)flags, (void)stream_id, (void)user;
    responses_done += n == BODY_BYTES && memcmp(data, body, BODY_BYTES) == 0;
    return 0;
}

static nghttp2_session *session_of(int server) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 256}};
    int code = nghttp2_session_callbacks_new(&callbacks);
    if (code != 0)
        fail("callbacks_new", code);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    if (server)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_server_frame);
    else
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_client_data);
    code = server ? nghttp2_session_server_new(&session, callbacks, NULL) : nghttp2_session_client_new(&session, callbacks, NULL);
    if (code != 0)
        fail("session_new", code);
    nghttp2_session_callbacks_del(callbacks);
    code = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 1);
    if (code != 0)
        fail("submit_settings", code);
    return session;
}

/* What the sender has to send, in one buffer, to the receiver. */
static void carry(nghttp2_session *sender, nghttp2_session *receiver, buffer *wire) {
    const uint8_t *data;
    ssize_t n;
    wire->size = 0;
    while ((n = nghttp2_session_mem_send(sender, &data)) > 0) {
        if (wire->size + (size_t)n > wire->room) {
            wire->room = 2 * (wire->size + (size_t)n);
            wire->octets = realloc(wire->octets, wire->room);
            if (wire->octets == NULL)
                fail("no memory", (long)wire->room);
        }
        memcpy(wire->octets + wire->size, data, (size_t)n);
        wire->size += (size_t)n;
    }
    if (n < 0)
        fail("mem_send", n);
    n = nghttp2_session_mem_recv(receiver, wire->octets, wire->size);
    if (n < 0 || (size_t)n != wire->size)
        fail("mem_recv", n);
}

static void exchange(nghttp2_session *client, nghttp2_session *server, buffer *wire, size_t first, size_t batch) {
    for (size_t i = first; i < first + batch; i++) {
        const section *s = &requests[i % request_count];
        int32_t stream_id = nghttp2_submit_request(client, NULL, s->fields, s->count, NULL, NULL);
        if (stream_id < 0)
            fail("submit_request", stream_id);
    }
    carry(client, server, wire);
    carry(server, client, wire);
}

static void measure_engine(size_t count, size_t batch) {
    nghttp2_session *client = session_of(0), *server = session_of(1);
    buffer wire = {NULL, 0, 0};
    size_t rounds = count / batch ? count / batch : 1, warm = rounds < 20 ? rounds : 20;
    if (response_count == 0)
        fail("no section of a response in the file", 0);
    for (int i = 0; i < 2; i++) {
        carry(client, server, &wire);
        carry(server, client, &wire);
    }
    for (size_t i = 0; i < warm; i++)
        exchange(client, server, &wire, i * batch, batch);
    responses_done = 0;
    int64_t started = cpu_ns();
    for (size_t i = 0; i < rounds; i++)
        exchange(client, server, &wire, i * batch, batch);
    double us = (double)(cpu_ns() - started) / 1000.0 / (double)(rounds * batch);
    if (responses_done != rounds * batch)
        fail("responses are missing", (long)(rounds * batch - responses_done));
    printf("{\"version\": \"%s\", \"us_per_request\": %.4f, \"requests\": %zu, \"batch\": %zu, \"fields\": %llu}\n",
           nghttp2_version(0)->version_str, us, rounds * batch, batch, (unsigned long long)fields_received);
    nghttp2_session_del(client);
    nghttp2_session_del(server);
    free(wire.octets);
}

/* -- HPACK */

static void inflate(nghttp2_hd_inflater *inflater, const uint8_t *octets, size_t n) {
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, octets, n, 1);
        if (used < 0)
            fail("inflate", used);
        octets += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            fields_received++;
            octets_received += nv.namelen + nv.valuelen;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(inflater);
            return;
        }
    }
}

static void measure_hpack(size_t count) {
    static buffer blocks[SECTIONS_MAX];
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    uint64_t encoded = 0;
    double encode_us = 1e9, decode_us = 1e9;
    int code = nghttp2_hd_deflate_new(&deflater, 4096);
    if (code == 0)
        code = nghttp2_hd_inflate_new(&inflater);
    if (code != 0)
        fail("hd_new", code);
    size_t turns = count / request_count ? count / request_count : 1;
    for (size_t i = 0; i < request_count; i++) {
        blocks[i].room = nghttp2_hd_deflate_bound(deflater, requests[i].fields, requests[i].count);
        blocks[i].octets = malloc(blocks[i].room);
        if (blocks[i].octets == NULL)
            fail("no memory", (long)blocks[i].room);
    }
    /* The first turn only fills the tables. */
    for (size_t turn = 0; turn <= turns; turn++) {
        int64_t started = cpu_ns();
        encoded = 0;
        for (size_t i = 0; i < request_count; i++) {
            ssize_t n = nghttp2_hd_deflate_hd(deflater, blocks[i].octets, blocks[i].room, requests[i].fields, requests[i].count);
            if (n < 0)
                fail("deflate", n);
            blocks[i].size = (size_t)n;
            encoded += (uint64_t)n;
        }
        int64_t between = cpu_ns();
        for (size_t i = 0; i < request_count; i++)
            inflate(inflater, blocks[i].octets, blocks[i].size);
        int64_t ended = cpu_ns();
        if (turn == 0)
            continue;
        double us = (double)(between - started) / 1000.0 / (double)request_count;
        encode_us = us < encode_us ? us : encode_us;
        us = (double)(ended - between) / 1000.0 / (double)request_count;
        decode_us = us < decode_us ? us : decode_us;
    }
    printf("{\"version\": \"%s\", \"encode_us\": %.4f, \"decode_us\": %.4f, \"octets\": %.2f, \"fields\": %llu}\n",
           nghttp2_version(0)->version_str, encode_us, decode_us, (double)encoded / (double)request_count,
           (unsigned long long)fields_received);
    nghttp2_hd_deflate_del(deflater);
    nghttp2_hd_inflate_del(inflater);
}

int main(int argc, char **argv) {
    memset(body, 'x', sizeof body);
    if (argc >= 3)
        read_sections(argv[2]);
    if (argc == 5 && strcmp(argv[1], "engine") == 0 && atol(argv[3]) > 0 && atol(argv[4]) > 0)
        measure_engine((size_t)atol(argv[3]), (size_t)atol(argv[4]));
    else if (argc == 4 && strcmp(argv[1], "hpack") == 0 && atol(argv[3]) > 0)
        measure_hpack((size_t)atol(argv[3]));
    else {
        fprintf(stderr, "usage: libnghttp2 engine FILE REQUESTS BATCH | libnghttp2 hpack FILE BLOCKS\n");
        return 2;
    }
    return 0;
}
