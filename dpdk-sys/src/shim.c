#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "shim.h"

/* src/mbuf.rs reads these fields by offset, because their C path changed between DPDK releases. */
_Static_assert(offsetof(struct rte_mbuf, buf_addr) == 0, "rte_mbuf.buf_addr moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, data_off) == 16, "rte_mbuf.data_off moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, refcnt) == 18, "rte_mbuf.refcnt moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, nb_segs) == 20, "rte_mbuf.nb_segs moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, port) == 22, "rte_mbuf.port moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, ol_flags) == 24, "rte_mbuf.ol_flags moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, pkt_len) == 36, "rte_mbuf.pkt_len moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, data_len) == 40, "rte_mbuf.data_len moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, vlan_tci) == 42, "rte_mbuf.vlan_tci moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, hash) == 44, "rte_mbuf.hash moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, vlan_tci_outer) == 52, "rte_mbuf.vlan_tci_outer moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, buf_len) == 54, "rte_mbuf.buf_len moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, pool) == 56, "rte_mbuf.pool moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, next) == 64, "rte_mbuf.next moved: see src/mbuf.rs");
_Static_assert(offsetof(struct rte_mbuf, tx_offload) == 72, "rte_mbuf.tx_offload moved: see src/mbuf.rs");
_Static_assert(sizeof(struct rte_mbuf) == 128, "rte_mbuf changed its size: see src/mbuf.rs");

uint16_t shim_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t shim_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

void shim_pktmbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

int shim_net_intel_cksum_prepare(struct rte_mbuf *mbuf)
{
	return rte_net_intel_cksum_prepare(mbuf);
}

int shim_vhost_features(uint16_t port, uint64_t *features)
{
	return rte_vhost_get_negotiated_features(rte_eth_vhost_get_vid_from_port_id(port), features);
}

unsigned int shim_ring_enqueue_burst(struct rte_ring *ring, void **objects, unsigned int count)
{
	return rte_ring_enqueue_burst(ring, objects, count, NULL);
}

unsigned int shim_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int count)
{
	return rte_ring_dequeue_burst(ring, objects, count, NULL);
}

int shim_errno(void)
{
	return rte_errno;
}

unsigned int shim_lcore_id(void)
{
	return rte_lcore_id();
}

uint64_t shim_rdtsc(void)
{
	return rte_rdtsc();
}

/* What -C target-cpu=x86-64-v3 has beyond what DPDK itself needs and checks. */
int shim_cpu_is_x86_64_v3(void)
{
#ifdef RTE_ARCH_X86
	return rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX2) == 1 && rte_cpu_get_flag_enabled(RTE_CPUFLAG_BMI1) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_BMI2) == 1 && rte_cpu_get_flag_enabled(RTE_CPUFLAG_FMA) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_MOVBE) == 1;
#else
	return 0;
#endif
}

const char *shim_version(void)
{
	return rte_version();
}

int shim_port_of_device(const char *name, uint16_t *port)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id) {
		struct rte_eth_dev_info info;
		char port_name[RTE_ETH_NAME_MAX_LEN];

		if (rte_eth_dev_get_name_by_port(id, port_name) == 0 && strcmp(port_name, name) == 0) {
			*port = id;
			return 0;
		}
		if (rte_eth_dev_info_get(id, &info) == 0 && info.device != NULL &&
		    strcmp(rte_dev_name(info.device), name) == 0) {
			*port = id;
			return 0;
		}
	}
	return -ENODEV;
}

/* struct rte_eth_link changed its shape in 24.11. */
int shim_link(uint16_t port, uint32_t *speed_mbps, int *up)
{
	struct rte_eth_link link;
	int failed = rte_eth_link_get_nowait(port, &link);

	if (failed != 0)
		return failed;
	*speed_mbps = link.link_speed;
	*up = link.link_status == RTE_ETH_LINK_UP;
	return 0;
}

int shim_tel_add_number(struct rte_tel_data *data, const char *name, uint64_t number)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	return rte_tel_data_add_dict_uint(data, name, number);
#else
	return rte_tel_data_add_dict_u64(data, name, number);
#endif
}

/* Renamed in 23.11. */
int shim_bond_add(uint16_t bond, uint16_t member)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	return rte_eth_bond_member_add(bond, member);
#else
	return rte_eth_bond_slave_add(bond, member);
#endif
}

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	((shim_log_callback)cookie)(rte_log_cur_msg_loglevel(), rte_log_cur_msg_logtype(), text, length);
	return (ssize_t)length;
}

int shim_log_to(shim_log_callback callback)
{
	cookie_io_functions_t functions = { .write = log_write };
	FILE *stream = fopencookie((void *)callback, "w", functions);

	if (stream == NULL)
		return -1;
	setvbuf(stream, NULL, _IOLBF, 1024);
	return rte_openlog_stream(stream);
}
