/* The C side of dpdk-sys: DPDK's static inline functions as real symbols, and what only C can say. */
#ifndef FERRY_SHIM_H
#define FERRY_SHIM_H

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_eth_bond.h>
#include <rte_eth_vhost.h>
#include <rte_ether.h>
#include <rte_dev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_net.h>
#include <rte_ring.h>
#include <rte_telemetry.h>
#include <rte_version.h>
#include <rte_vhost.h>
#include <rte_hash.h>
#include <rte_ip_frag.h>
#include <rte_hash_crc.h>
#include <rte_cycles.h>
#include <rte_cpuflags.h>
#include <linux/virtio_net.h>

/* Macros that bindgen cannot evaluate everywhere, with one integer type. */
static const uint64_t SHIM_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_TCP_LRO = RTE_ETH_RX_OFFLOAD_TCP_LRO;
static const uint64_t SHIM_RX_OFFLOAD_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t SHIM_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t SHIM_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t SHIM_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_UDP_CKSUM = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_TSO = RTE_ETH_TX_OFFLOAD_TCP_TSO;
static const uint64_t SHIM_TX_OFFLOAD_OUTER_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_OUTER_IPV4_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_VXLAN_TNL_TSO = RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO;
static const uint64_t SHIM_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t SHIM_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint64_t SHIM_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t SHIM_RSS_L2_PAYLOAD = RTE_ETH_RSS_L2_PAYLOAD;
static const uint64_t SHIM_MBUF_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t SHIM_MBUF_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_NONE = RTE_MBUF_F_RX_L4_CKSUM_NONE;
static const uint64_t SHIM_MBUF_RX_LRO = RTE_MBUF_F_RX_LRO;
static const uint64_t SHIM_MBUF_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t SHIM_MBUF_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t SHIM_MBUF_TX_IP_CKSUM = RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t SHIM_MBUF_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t SHIM_MBUF_TX_UDP_CKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t SHIM_MBUF_TX_TCP_SEG = RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t SHIM_MBUF_TX_OUTER_IPV4 = RTE_MBUF_F_TX_OUTER_IPV4;
static const uint64_t SHIM_MBUF_TX_OUTER_IP_CKSUM = RTE_MBUF_F_TX_OUTER_IP_CKSUM;
static const uint64_t SHIM_MBUF_TX_TUNNEL_VXLAN = RTE_MBUF_F_TX_TUNNEL_VXLAN;
static const uint32_t SHIM_MBUF_L3_LEN_OFS = RTE_MBUF_L3_LEN_OFS;
static const uint32_t SHIM_MBUF_L4_LEN_OFS = RTE_MBUF_L4_LEN_OFS;
static const uint32_t SHIM_MBUF_TSO_SEGSZ_OFS = RTE_MBUF_TSO_SEGSZ_OFS;
static const uint32_t SHIM_MBUF_OUTER_L3_LEN_OFS = RTE_MBUF_OUTL3_LEN_OFS;
static const uint32_t SHIM_MBUF_OUTER_L2_LEN_OFS = RTE_MBUF_OUTL2_LEN_OFS;
static const uint64_t SHIM_MBUF_ATTACHED = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
static const uint64_t SHIM_MBUF_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t SHIM_MBUF_RX_QINQ_STRIPPED = RTE_MBUF_F_RX_QINQ_STRIPPED;
static const uint32_t SHIM_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const uint32_t SHIM_SPEED_UNKNOWN = RTE_ETH_SPEED_NUM_UNKNOWN;
static const uint8_t SHIM_BOND_ACTIVE_BACKUP = BONDING_MODE_ACTIVE_BACKUP;
static const uint8_t SHIM_BOND_8023AD = BONDING_MODE_8023AD;
static const uint32_t SHIM_MQ_RSS = RTE_ETH_MQ_RX_RSS;
static const int SHIM_SOCKET_ID_ANY = SOCKET_ID_ANY;

uint16_t shim_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t shim_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool);
void shim_pktmbuf_free(struct rte_mbuf *mbuf);
int shim_net_intel_cksum_prepare(struct rte_mbuf *mbuf);
int shim_vhost_features(uint16_t port, uint64_t *features);
unsigned int shim_ring_enqueue_burst(struct rte_ring *ring, void **objects, unsigned int count);
unsigned int shim_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int count);
int shim_errno(void);
unsigned int shim_lcore_id(void);
uint64_t shim_rdtsc(void);
int shim_cpu_is_x86_64_v3(void);
const char *shim_version(void);
int shim_port_of_device(const char *name, uint16_t *port);
int shim_link(uint16_t port, uint32_t *speed_mbps, int *up);
int shim_bond_add(uint16_t bond, uint16_t member);

int shim_tel_add_number(struct rte_tel_data *data, const char *name, uint64_t number);

/* Hands every DPDK log message to the callback instead of stderr and syslog; call it before rte_eal_init. */
typedef void (*shim_log_callback)(int level, int type, const char *text, size_t length);
int shim_log_to(shim_log_callback callback);

#endif
