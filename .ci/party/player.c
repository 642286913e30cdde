/* A player of the arena over libenet, as Debian has it: player HOST PORT TICKET
 *
 * It reads snapshots, walks around the middle, and tells what it sees, until its input ends. Written from the pages of the
 * book about what players send, as are its likes in Python and Rust. */

#include <enet/enet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UP = 1, DOWN = 2, LEFT = 4, RIGHT = 8 };
enum { FIELDS = 6, SEATS = 64, KEPT = 64, PLACES = 8, HEARD = 1000 };

/* Bits of each field, and of a short difference. */
static const int SIZE[FIELDS] = {13, 13, 8, 2, 5, 10}, SMALL[FIELDS] = {6, 6, 5, 2, 2, 6};
/* Places around the middle from where all see each other, with a free way from each to the next. */
static const int RING[PLACES][2] = {{4100, 3200}, {3836, 3836}, {3200, 4100}, {2564, 3836},
                                    {2300, 3200}, {2564, 2564}, {3200, 2300}, {3836, 2564}};

typedef struct {
    unsigned long long tick;
    char here[SEATS];
    int fields[SEATS][FIELDS];
} View;

static View views[KEPT];
static int newest_view;
static unsigned long long tick;
static int seat = -1;
static enet_uint32 newest;
static enet_uint8 inputs[3][4];

static void require(int is_so, const char *what) {
    if (!is_so) {
        fprintf(stderr, "libenet: %s\n", what);
        exit(1);
    }
}

typedef struct {
    const enet_uint8 *bytes;
    size_t len, at;
} Bits;

static int take(Bits *bits, int count) {
    int value = 0;
    for (int n = 0; n < count; n++, bits->at++) {
        require(bits->at / 8 < bits->len, "a snapshot ends too soon");
        value |= (bits->bytes[bits->at / 8] >> (bits->at % 8) & 1) << n;
    }
    return value;
}

/* The entities behind a tick; none if what it stands on is not here. */
static const View *read_view(unsigned long long its, const enet_uint8 *body, size_t len) {
    static const View none;
    const View *was = &none;
    require(len > 0, "an empty snapshot");
    if (body[0] > 0) {
        was = NULL;
        for (int n = 0; n < KEPT; n++)
            if (views[n].tick > 0 && views[n].tick + body[0] == its)
                was = &views[n];
        if (was == NULL)
            return NULL;
    }
    Bits bits = {body + 1, len - 1, 0};
    View now = {.tick = its};
    for (int id = 0; id < SEATS; id++) {
        if (!was->here[id])
            continue;
        memcpy(now.fields[id], was->fields[id], sizeof now.fields[id]);
        now.here[id] = 1;
        if (!take(&bits, 1))
            continue;
        if (take(&bits, 1)) {
            now.here[id] = 0;
            continue;
        }
        for (int f = 0; f < FIELDS; f++) {
            if (!take(&bits, 1))
                continue;
            if (take(&bits, 1))
                now.fields[id][f] = take(&bits, SIZE[f]);
            else
                now.fields[id][f] = (now.fields[id][f] + take(&bits, SMALL[f]) - (1 << (SMALL[f] - 1))) & ((1 << SIZE[f]) - 1);
        }
    }
    while (take(&bits, 1)) {
        int id = take(&bits, 16);
        require(id < SEATS, "a seat that there is not");
        now.here[id] = 1;
        for (int f = 0; f < FIELDS; f++)
            now.fields[id][f] = take(&bits, SIZE[f]);
    }
    newest_view = (newest_view + 1) % KEPT;
    views[newest_view] = now;
    return &views[newest_view];
}

/* FNV-1a of names and fields, each as eight bytes. */
static unsigned long long hash(const View *view) {
    unsigned long long value = 0xcbf29ce484222325ULL;
    for (int id = 0; id < SEATS; id++) {
        for (int f = -1; view->here[id] && f < FIELDS; f++) {
            unsigned long long number = (unsigned long long)(f < 0 ? id : view->fields[id][f]);
            for (int n = 0; n < 8; n++)
                value = (value ^ (number >> (8 * n) & 255)) * 0x100000001b3ULL;
        }
    }
    return value;
}

static void tell(const View *view) {
    printf("tick %llu %016llx", view->tick, hash(view));
    for (int id = 0; id < SEATS; id++)
        for (int f = 0; view->here[id] && f < FIELDS; f++)
            f == 0 ? printf(" %d:%d", id, view->fields[id][f]) : printf(",%d", view->fields[id][f]);
    printf("\n");
    fflush(stdout);
}

static long far(int place, const int *own) {
    long dx = RING[place][0] - own[0], dy = RING[place][1] - own[1];
    return dx * dx + dy * dy;
}

static int walk(const int *own) {
    static int goal = -1, last[2], still, aside, tries;
    int nearest = 0;
    for (int n = 1; n < PLACES; n++)
        if (far(n, own) < far(nearest, own))
            nearest = n;
    if (goal < 0 || far(goal, own) > 2000L * 2000)
        goal = nearest;
    else if (far(goal, own) < 60 * 60)
        goal = (goal + 1) % PLACES;
    still = own[0] == last[0] && own[1] == last[1] ? still + 1 : 0;
    last[0] = own[0];
    last[1] = own[1];
    if (still > 8) {
        /* Something stands in the way: aside for a while, each time elsewhere. */
        still = 0;
        aside = 20;
        tries++;
    }
    if (aside > 0) {
        static const int WAYS[4] = {RIGHT, UP, LEFT, DOWN};
        aside--;
        return WAYS[tries % 4];
    }
    int dx = RING[goal][0] - own[0], dy = RING[goal][1] - own[1];
    return (dx < -30 ? LEFT : dx > 30 ? RIGHT : 0) | (dy < -30 ? UP : dy > 30 ? DOWN : 0);
}

static unsigned long long number(const enet_uint8 *bytes, int count) {
    unsigned long long value = 0;
    for (int n = 0; n < count; n++)
        value |= (unsigned long long)bytes[n] << (8 * n);
    return value;
}

/* What the room has said; if there was a snapshot, what is said to that goes to `out`. Its length, or 0. */
static size_t hear(const enet_uint8 *message, size_t len, enet_uint8 *out) {
    require(len >= 5, "a message without a head");
    int ahead = (short)(unsigned short)(number(message, 2) - tick);
    /* Datagrams overtake each other. */
    unsigned long long its = tick + (unsigned long long)(long long)ahead;
    if (its > tick && ahead > 0)
        tick = its;
    const View *view = NULL;
    for (size_t at = 5; at < len;) {
        int tag = message[at++];
        size_t size = 0;
        for (int shift = 0;; shift += 7) {
            require(at < len, "a message ends too soon");
            size |= (size_t)(message[at] & 0x7f) << shift;
            if (message[at++] < 0x80)
                break;
        }
        require(size <= len - at, "a message ends too soon");
        const enet_uint8 *body = message + at;
        at += size;
        if (tag == 0) {
            seat = (int)number(body, 2);
            tick = its = number(body + 5, 8);
            printf("seat %d\n", seat);
        } else if (tag == 2 && size > 1 && body[0] == 1) {
            printf("shot %d\n", body[1]);
        } else if (tag == 3 && size > 4 && body[0] == 3) {
            printf("name %d %.*s\n", body[1], (int)size - 4, (const char *)body + 4);
        } else if (tag == 4) {
            view = read_view(its, body, size);
            if (view != NULL)
                tell(view);
        } else {
            require(tag != 5, "the seat has ended");
        }
        fflush(stdout);
    }
    if (view == NULL)
        return 0;
    int here = seat >= 0 && seat < SEATS && view->here[seat];
    memmove(inputs[1], inputs[0], 8);
    inputs[0][0] = (enet_uint8)(here ? walk(view->fields[seat]) : 0);
    inputs[0][1] = 0;
    inputs[0][2] = (enet_uint8)its;
    inputs[0][3] = (enet_uint8)(its >> 8);
    newest++;
    size_t count = newest < 3 ? newest : 3, at = 0;
    out[at++] = 4;
    out[at++] = (enet_uint8)(4 + 5 * count);
    for (int n = 0; n < 4; n++)
        out[at++] = (enet_uint8)(newest >> (8 * n));
    for (size_t n = 0; n < count; n++) {
        out[at++] = 4;
        memcpy(out + at, inputs[n], 4);
        at += 4;
    }
    out[at++] = 5;
    out[at++] = 2;
    out[at++] = (enet_uint8)its;
    out[at++] = (enet_uint8)(its >> 8);
    return at;
}

/* Whether nobody wants this player any more. */
static int is_over(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

static void send_packet(ENetPeer *peer, int channel, const void *bytes, size_t len, enet_uint32 flags) {
    require(enet_peer_send(peer, (enet_uint8)channel, enet_packet_create(bytes, len, flags)) == 0, "not sent");
}

int main(int argc, char **argv) {
    static const enet_uint8 FAREWELL[2] = {6, 0};
    require(argc == 4 && enet_initialize() == 0, "player HOST PORT TICKET");
    ENetHost *host = enet_host_create(NULL, 1, 3, 0, 0);
    ENetAddress address = {.port = (enet_uint16)atoi(argv[2])};
    require(host != NULL && enet_address_set_host(&address, argv[1]) == 0, "no such host");
    ENetPeer *peer = enet_host_connect(host, &address, 3, 0);
    require(peer != NULL, "no connection");
    int leaving = 0;
    enet_uint32 since = 0;
    for (;;) {
        ENetEvent event;
        enet_uint8 out[64];
        if (enet_host_service(host, &event, 5) > 0) {
            if (event.type == ENET_EVENT_TYPE_CONNECT) {
                send_packet(peer, 0, argv[3], strlen(argv[3]), ENET_PACKET_FLAG_RELIABLE);
            } else if (event.type == ENET_EVENT_TYPE_RECEIVE) {
                size_t len = hear(event.packet->data, event.packet->dataLength, out);
                if (len > 0 && !leaving)
                    send_packet(peer, 1, out, len, 0);
                enet_packet_destroy(event.packet);
            } else if (event.type == ENET_EVENT_TYPE_DISCONNECT) {
                if (!leaving || event.data != HEARD)
                    fprintf(stderr, "libenet: the server has ended it: %u\n", event.data);
                require(leaving && event.data == HEARD, "it has ended too soon");
                printf("bye\n");
                return 0;
            }
        }
        if (!leaving && is_over()) {
            send_packet(peer, 0, FAREWELL, sizeof FAREWELL, ENET_PACKET_FLAG_RELIABLE);
            leaving = 1;
            since = enet_time_get();
        }
        require(!leaving || enet_time_get() - since < 10000, "the farewell is not heard");
    }
}
