//! Why a packet was dropped: the names that operators see, what they mean and what to do.

macro_rules! drop_reasons {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $name:literal, $remedy:literal;)+) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in counters, output and documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What happened, in a line.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning,)+).trim_ascii(),)+ }
            }

            /// What an operator can do about it, in a line.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }
        }
    };
}

drop_reasons! {
    /// The frame is shorter than an Ethernet header.
    TruncatedEthernet = "truncated_ethernet", "look at the sender: such frames never leave a sound NIC";
    /// The frame ends within its VLAN tag.
    TruncatedVlan = "truncated_vlan", "look at the sender: the frame is damaged";
    /// The source MAC is a group address or all zero.
    InvalidSource = "invalid_source", "look at the sender: no station may use such an address";
    /// The destination is a link-local protocol (01:80:c2:00:00:00 to :0f: STP, LACP, LLDP), which a bridge keeps.
    ReservedMulticast = "reserved_multicast", "none needed: such frames must not cross a bridge";
    /// No network uses this VLAN of the port, or untagged frames on it.
    VlanUnmapped = "vlan_unmapped", "add {port, vlan} to a network's ports, or stop the sender's tagging";
    /// A VLAN tag within a tenant's frame (RFC 7348 section 6.1 has it discarded).
    InnerVlan = "inner_vlan", "set inner_vlan: keep on the network if its tenants may use VLANs";
    /// The destination lives where the frame came from.
    SamePort = "same_port", "none needed, as on any bridge; a stream of it hints at a wrong MAC move or a loop";
    /// The source MAC is alive elsewhere, and its network's mac_move keeps it there.
    MacMove = "mac_move", "see 'ferry show macs'; a station that has moved is heard when it ages out there, or at once with mac_move: allow";
    /// A flooded frame that nobody else is there for.
    NoDestination = "no_destination", "add ports or flood peers to the network, if there should be any";
    /// A station asks by ARP or neighbour discovery for an address that nobody knows, and its network drops that.
    UnknownNeighbour = "unknown_neighbour", "give the address to a MAC in the network's macs, or flood such questions: arp_suppression: true";
    /// More broadcasts than the storm control of the port or its network admits.
    StormBroadcast = "storm_broadcast", "find who storms; or raise storm_control's broadcast on the port or the network";
    /// More multicast than the storm control of the port or its network admits.
    StormMulticast = "storm_multicast", "find who storms; or raise storm_control's multicast on the port or the network";
    /// More frames to unknown MACs than the storm control of the port or its network admits.
    StormUnknownUnicast = "storm_unknown_unicast", "find who storms; or raise storm_control's unknown_unicast, or list the MACs under the network's macs";
    /// Multicast to a group without members.
    UnregisteredMulticast = "unregistered_multicast", "see 'ferry show groups'; add the group to the network's multicast.groups, or set multicast.unregistered: flood";
    /// An IGMP or MLD report that was noted, and that no multicast router and no peer is there for.
    ReportHeard = "report_heard", "none needed";
    /// An IGMP or MLD message is cut off, comes in fragments, or its lengths contradict each other.
    IgmpMldLength = "igmp_mld_length", "look at the sender: its message is damaged or forged";
    /// The checksum of an IGMP or MLD message, or of its IP header, is wrong.
    IgmpMldChecksum = "igmp_mld_checksum", "look at the sender; on veth: ethtool -K IFACE tx off";
    /// An IGMP or MLD message that may come from another link: its TTL or hop limit is not 1, or its source or router alert is not MLD's.
    IgmpMldHeader = "igmp_mld_header", "look at the sender: no router may forward such messages";
    /// An IGMP or MLD message names a group that is no multicast address.
    IgmpMldGroup = "igmp_mld_group", "look at the sender: its message is damaged or forged";
    /// More IGMP and MLD than a network's limit.
    IgmpMldRate = "igmp_mld_rate", "find who sends so much; or raise multicast.snooping.message_limit on the network";
    /// The peer's next hop has no MAC address yet.
    NextHopUnresolved = "next_hop_unresolved", "see 'ferry show peers'; check route, cabling and the peer itself";
    /// The frame would not fit the underlay's MTU with its outer headers.
    Oversize = "oversize", "raise the underlay's MTU over the tenants', or lower theirs to what 'ferry show networks' says; TCP finds out by itself";
    /// A packet for the kernel is longer than the kernel twin's device takes, and does not go in fragments.
    TwinOversize = "twin_oversize", "see 'ferry show ports' for the twin's MTU, and send the kernel no longer packets than that";
    /// A guest leaves a checksum or segments to its device that its frame cannot have.
    BadOffload = "bad_offload", "look at the guest's driver; or set offloads: off on the port";
    /// The mempool is empty.
    NoMbuf = "no_mbuf", "raise eal.mbufs; see 'ferry show totals'";
    /// The packet has no room for outer headers.
    NoHeadroom = "no_headroom", "report it: the device hands out packets without DPDK's headroom";
    /// The headers are spread over several segments.
    Segmented = "segmented", "lower the device's MTU so that a packet fits one mbuf";
    /// Too many floods wait for their turn.
    ReplicationBacklog = "replication_backlog", "find who floods; add workers, or set fewer peers to flood to";
    /// The network was removed while the frame waited.
    NetworkRemoved = "network_removed", "none needed";
    /// The device did not take the frame in bounded time.
    TxFull = "tx_full", "the device or its peer is slower than the traffic: add queues or descriptors";
    /// The port's link is down: no guest is attached to it, the cable is out, or its interface is down or deleted.
    LinkDown = "link_down", "start the guest, or look at the cable or the interface; 'ferry show ports' says which links are up, and which are gone";
    /// The worker that owns the device's transmit queue is too far behind.
    HandoffFull = "handoff_full", "give the device as many queues as there are workers";
    /// Unicast on the underlay to another station's MAC.
    NotOurMac = "not_our_mac", "check the peers' and switches' MAC tables if it does not fade";
    /// The outer IPv4 header is cut off.
    TruncatedIpv4 = "truncated_ipv4", "look at the underlay: the packet is damaged";
    /// The outer IPv4 header's version, header length or total length is wrong.
    Ipv4Header = "ipv4_header", "look at the underlay: the packet is damaged or forged";
    /// The outer IPv4 header checksum is wrong.
    Ipv4Checksum = "ipv4_checksum", "look for a faulty link; on veth: ethtool -K IFACE tx off";
    /// The outer IPv6 header is cut off.
    TruncatedIpv6 = "truncated_ipv6", "look at the underlay: the packet is damaged";
    /// The outer IPv6 header's version or payload length is wrong.
    Ipv6Header = "ipv6_header", "look at the underlay: the packet is damaged or forged";
    /// A tunnel packet came in fragments, which a VTEP must not make (RFC 7348 section 4.3).
    Fragment = "fragment", "raise the underlay's MTU along the peer's path; or set fragments: reassemble on the VTEP";
    /// A fragment of a tunnel packet of which others did not come in time.
    FragmentTimeout = "fragment_timeout", "look for loss on the underlay, and whether its NIC spreads the fragments of one packet over queues";
    /// A fragment of a tunnel packet that was given up because too many others in fragments came after it.
    FragmentOverflow = "fragment_overflow", "raise fragments.packets on the VTEP, or the underlay's MTU";
    /// A fragment of a tunnel packet that contradicts others, comes twice, or makes a packet that is longer than a packet buffer.
    BadFragment = "bad_fragment", "look at the peer, or who forges its packets; packet buffers are made for the ports' largest MTU";
    /// The UDP header is cut off or its length is wrong.
    UdpLength = "udp_length", "look at the underlay: the packet is damaged or forged";
    /// The outer UDP checksum is wrong.
    UdpChecksum = "udp_checksum", "look for a faulty link; on veth: ethtool -K IFACE tx off";
    /// UDP over IPv6 without a checksum (RFC 8200 section 8.1).
    UdpZeroChecksum = "udp_zero_checksum", "set udp6_zero_checksum: accept on the VTEP if its peers send none (RFC 6935)";
    /// The VXLAN header is cut off.
    TruncatedVxlan = "truncated_vxlan", "look at the peer: it sends something else to the VXLAN port";
    /// The VXLAN header's I flag is not set (RFC 7348 section 5).
    VxlanFlags = "vxlan_flags", "look at the peer: it sends something else to the VXLAN port";
    /// A reserved bit of the VXLAN header is set.
    VxlanReserved = "vxlan_reserved", "set reserved_bits: ignore on the VTEP, as RFC 7348 has it, or look at the peer";
    /// VXLAN-GPE with a payload other than Ethernet.
    VxlanGpe = "vxlan_gpe", "have the peer send plain VXLAN: Ferry carries Ethernet only";
    /// The GRE header is cut off.
    TruncatedGre = "truncated_gre", "look at the peer: it sends damaged GRE";
    /// The GRE header has another version than 0, or a flag that its tunnel does not use.
    GreFlags = "gre_flags", "have the peer send NVGRE without checksum and sequence number (RFC 7637), or make it encap: gre";
    /// The GRE checksum is wrong.
    GreChecksum = "gre_checksum", "look for a faulty link, or at the peer";
    /// A packet of a peer with sequence: strict is older than one before it, comes twice, or has no sequence number.
    GreSequence = "gre_sequence", "have the peer's packets come by one queue and number them, or set sequence: true, which takes all";
    /// No network has this VNI.
    UnknownVni = "unknown_vni", "add the network here, or take this VTEP off the peer's flood list";
    /// The sender is not one of our peers.
    UnknownPeer = "unknown_peer", "add the sender to a network's flood peers, if it is yours";
    /// A packet to a multicast group, for a network that has another group or none.
    WrongGroup = "wrong_group", "give the network the same flood group on all VTEPs";
    /// A packet of our own came back by its multicast group.
    OwnPacket = "own_packet", "look for a loop in the underlay, or another machine with this VTEP's address";
    /// The underlay was congested (ECN), and the sender of the packet within knows no ECN: it must learn by a loss (RFC 6040 section 4.2).
    CongestionWithoutEcn = "congestion_without_ecn", "look for the congestion; if the peer's outer headers are marked for packets without ECN, have it copy ECN (RFC 6040)";
    /// The inner frame is shorter than an Ethernet header.
    InnerTruncated = "inner_truncated", "look at the peer: it tunnels damaged frames";
    /// From a tunnel, to a MAC behind a tunnel: split horizon keeps it from looping.
    SplitHorizon = "split_horizon", "check which peer the MAC is behind: 'ferry show macs'; the sender's FIB is stale";
    /// The frame's sender is of a group, or of none, that the place it goes to does not accept.
    GroupPolicy = "group_policy", "see 'ferry show networks --json'; add the group, or 0 for senders of none, to accept_groups of the place in the network's ports";
    /// Not tunnel traffic, and the port has no kernel twin to take it.
    NoTwin = "no_twin", "give the underlay port a twin, if this machine should answer";
    /// Comes in by a port that is only for the copies of a mirror.
    MirrorPort = "mirror_port", "none needed, if who looks on speaks, as Linux does; or silence it";
    /// A mirror's copy for a peer that has no next hop.
    MirrorUnreachable = "mirror_unreachable", "see 'ferry show peers'; the frame itself went its way";
    /// A mirror's copy that does not fit the way to its peer.
    MirrorOversize = "mirror_oversize", "raise the underlay's MTU, or mirror to a port; the frame itself went its way";
    /// A mirror's copy for which no packet buffer or place was free.
    MirrorFull = "mirror_full", "mirror fewer ports, or one direction, or raise eal.mbufs; the frame itself went its way";
    /// Sent to a port that is gone.
    PortRemoved = "port_removed", "none needed";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_explained() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(index, *reason as usize);
            assert!(reason.meaning().ends_with('.') && !reason.remedy().is_empty());
        }
    }
}
