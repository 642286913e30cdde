/* libenet, as Debian has it, against the example `enet_echo`: echo PORT [checksum] [compression] */

#include <enet/enet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RELIABLE, UNRELIABLE, UNSEQUENCED, FRAGMENTS, CHANNELS };
enum { MOST = 121, CODE = 0x5eed };

static const enet_uint32 FLAGS[CHANNELS] = {
    ENET_PACKET_FLAG_RELIABLE, 0, ENET_PACKET_FLAG_UNSEQUENCED, ENET_PACKET_FLAG_UNRELIABLE_FRAGMENT};
static const int COUNT[CHANNELS] = {MOST, 100, 100, 5};

static int came[CHANNELS], last[CHANNELS] = {-1, -1, -1, -1};
static char seen[CHANNELS][MOST];

static void require(int is_so, const char *what, int channel) {
    if (!is_so) {
        fprintf(stderr, "libenet: channel %d: %s\n", channel, what);
        exit(1);
    }
}

static size_t length(int channel, int n) {
    switch (channel) {
    case RELIABLE:
        return n == 60 ? 100000 : 4 + (size_t)(n % 61) * 23;
    case UNRELIABLE:
        return 4 + (size_t)n * 7;
    case UNSEQUENCED:
        return 4 + (size_t)n * 9;
    default:
        return 20000;
    }
}

/* No two are alike. */
static void fill(enet_uint8 *bytes, size_t len, enet_uint32 n) {
    for (size_t at = 0; at < len; at++)
        bytes[at] = at < 4 ? (enet_uint8)(n >> (24 - 8 * at)) : (enet_uint8)(at * 31 + n * 7 + (at >> 8));
}

static void check(int channel, const ENetPacket *packet) {
    static enet_uint8 expected[100000];
    require(channel < CHANNELS && packet->dataLength >= 4, "no message of ours", channel);
    int n = packet->data[2] << 8 | packet->data[3];
    require(n < COUNT[channel], "a message that was not sent", channel);
    size_t len = length(channel, n);
    fill(expected, len, (enet_uint32)n);
    require(packet->dataLength == len && memcmp(packet->data, expected, len) == 0, "other bytes", channel);
    require(!seen[channel][n], "something comes twice", channel);
    require(channel == UNSEQUENCED || n > last[channel], "another order", channel);
    require(channel != RELIABLE || n == last[channel] + 1, "something reliable is missing", channel);
    enet_uint32 kind = packet->flags & (ENET_PACKET_FLAG_RELIABLE | ENET_PACKET_FLAG_UNSEQUENCED);
    require(kind == (FLAGS[channel] & (ENET_PACKET_FLAG_RELIABLE | ENET_PACKET_FLAG_UNSEQUENCED)), "another kind", channel);
    seen[channel][n] = 1;
    last[channel] = n;
    came[channel]++;
}

static void turn(ENetHost *host, enet_uint32 wait) {
    ENetEvent event;
    while (enet_host_service(host, &event, wait) > 0) {
        require(event.type == ENET_EVENT_TYPE_RECEIVE, "it has ended", -1);
        check(event.channelID, event.packet);
        enet_packet_destroy(event.packet);
        wait = 0;
    }
}

int main(int argc, char **argv) {
    require(argc > 1 && enet_initialize() == 0, "no port, or no ENet", -1);
    ENetHost *host = enet_host_create(NULL, 1, CHANNELS, 0, 0);
    require(host != NULL, "no host", -1);
    for (int n = 2; n < argc; n++) {
        if (strcmp(argv[n], "checksum") == 0)
            host->checksum = enet_crc32;
        if (strcmp(argv[n], "compression") == 0)
            require(enet_host_compress_with_range_coder(host) == 0, "no range coder", -1);
    }
    ENetAddress address = {.port = (enet_uint16)atoi(argv[1])};
    enet_address_set_host_ip(&address, "127.0.0.1");
    ENetPeer *peer = enet_host_connect(host, &address, CHANNELS, CODE);
    ENetEvent event;
    require(peer != NULL && enet_host_service(host, &event, 10000) > 0 && event.type == ENET_EVENT_TYPE_CONNECT,
            "not connected", -1);
    /* Neither end holds back what may be lost, however busy the machine is. */
    enet_peer_throttle_configure(peer, ENET_PEER_PACKET_THROTTLE_INTERVAL, ENET_PEER_PACKET_THROTTLE_SCALE, 0);
    for (int n = 0; n < MOST; n++) {
        for (int channel = 0; channel < CHANNELS; channel++) {
            if (n >= COUNT[channel])
                continue;
            ENetPacket *packet = enet_packet_create(NULL, length(channel, n), FLAGS[channel]);
            fill(packet->data, packet->dataLength, (enet_uint32)n);
            require(enet_peer_send(peer, (enet_uint8)channel, packet) == 0, "not sent", channel);
        }
        turn(host, 2);
    }
    for (int n = 0; n < 100 || (came[RELIABLE] < MOST && n < 12000); n++)
        turn(host, 5);
    require(came[RELIABLE] == MOST, "not all that must come has come", RELIABLE);
    for (int channel = 1; channel < CHANNELS; channel++)
        require(2 * came[channel] >= COUNT[channel], "too little came", channel);
    enet_peer_disconnect(peer, CODE);
    require(enet_host_service(host, &event, 10000) > 0 && event.type == ENET_EVENT_TYPE_DISCONNECT,
            "the other end has not let go", -1);
    printf("libenet (");
    for (int n = 2; n < argc; n++)
        printf("%s%s", n > 2 ? " and " : "", argv[n]);
    printf("%s): back came", argc > 2 ? "" : "plain");
    for (int channel = 0; channel < CHANNELS; channel++)
        printf(" %d/%d", came[channel], COUNT[channel]);
    printf("\n");
    enet_host_destroy(host);
    enet_deinitialize();
    return 0;
}
