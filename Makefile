# Ferry's commands. 'make help' lists them.
SHELL := /bin/bash
CARGO ?= cargo
PREFIX ?= /usr/local
BINARY ?= target/release/ferry

# What a Debian 12 machine needs to build, test and show Ferry.
PACKAGES := build-essential busybox-static chromium-headless-shell clang curl dpdk ethtool iperf3 iproute2 iputils-arping iputils-ping jq \
	libclang-dev libdpdk-dev openssl openvswitch-switch pkg-config procps qemu-system-x86 systemd tcpdump tshark valgrind

# What 'make bench' compares with.
BENCH_PACKAGES := dpdk-dev linux-perf openvswitch-switch-dpdk

.PHONY: help deps build build-tests demo lint test bench install deb book clean

help: ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

deps: ## Install the Debian packages that are missing (as root)
	@missing=""; for package in $(PACKAGES) $(MORE_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@command -v $(CARGO) >/dev/null || { echo "no cargo: install Rust 1.91 or newer from https://rustup.rs"; exit 2; }

build: deps ## Build target/release/ferry
	$(CARGO) build --release --locked

demo: build ## Two hosts, two tenants, one tunnel, in network namespaces (ARGS=--once: show it and end)
	@configs/demo.sh $(ARGS)

lint: deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# What the tests' guests boot. The package is unpacked, not installed: this machine keeps its kernel.
GUEST_KERNEL := target/guest-kernel/vmlinuz
GUEST_MODULES := failover irqbypass net_failover tun uio uio_pci_generic vfio vfio-pci vfio-pci-core vfio_iommu_type1 vfio_virqfd \
	virtio virtio_net virtio_pci virtio_pci_legacy_dev virtio_pci_modern_dev virtio_ring
$(GUEST_KERNEL): Makefile | deps
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && cd $$folder && \
	{ apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update -qq; } && \
	package=$$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $$2; exit }') && \
	echo "unpacking $$package" && apt-get -qq -o APT::Sandbox::User=root download $$package && \
	dpkg-deb -x $$package*.deb . && mkdir -p $(CURDIR)/$(@D) && \
	for module in $(GUEST_MODULES); do find lib/modules -name $$module.ko; done | xargs cp -t $(CURDIR)/$(@D) && \
	cp boot/vmlinuz-* $(CURDIR)/$@

# Prometheus's checker for what tests scrape; its package, too, is unpacked only, as it would start a server.
PROMTOOL := target/promtool/promtool
$(PROMTOOL): | deps
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && cd $$folder && \
	{ apt-cache show prometheus >/dev/null 2>&1 || apt-get update -qq; } && echo "unpacking prometheus" && \
	apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg-deb -x prometheus_*.deb . && \
	mkdir -p $(CURDIR)/$(@D) && cp usr/bin/promtool $(CURDIR)/$@

test: lint $(GUEST_KERNEL) $(PROMTOOL) ## Install what is missing, build, lint, run every test (as root)
	@# The release build ends with minutes of one thread: what tests need is built beside it.
	$(MAKE) --no-print-directory -j2 build build-tests
	@# Tests wait more than they work: two for each core.
	RUST_TEST_THREADS=$$(( 2 * $$(nproc) )) $(CARGO) test --workspace --locked
	$(BENCH_OF_DEBUG_BUILD) -- --instructions --ferry $(BINARY)
	$(MAKE) --no-print-directory -o build demo ARGS=--once

# What counts instructions needs no optimisation itself.
BENCH_OF_DEBUG_BUILD := $(CARGO) bench --profile dev --locked --bench forward
build-tests: deps
	$(CARGO) test --workspace --locked --no-run
	$(BENCH_OF_DEBUG_BUILD) --no-run

bench: MORE_PACKAGES := $(BENCH_PACKAGES)
bench: build ## Measure, beside testpmd and OVS-DPDK on the same devices (perf/README.md; ARGS=--all)
	$(CARGO) bench --locked --bench fib
	$(CARGO) bench --locked --bench forward -- $(ARGS)

install: build ## Install the binary, its manual, completions, a systemd unit and example configurations
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/ferry
	install -d $(DESTDIR)$(PREFIX)/share/ferry
	install -m 0644 configs/*.yaml configs/ferry.schema.json $(DESTDIR)$(PREFIX)/share/ferry/
	install -d $(DESTDIR)$(PREFIX)/share/ferry/monitoring
	install -m 0644 configs/monitoring/* $(DESTDIR)$(PREFIX)/share/ferry/monitoring/
	$(BINARY) manual $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	$(BINARY) completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ferry
	$(BINARY) completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ferry
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' configs/ferry.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/ferry.service

deb: build ## Make target/deb/ferry_*.deb, which installs a service that starts
	@mkdir -p target/deb
	@configs/debian/package.sh $(BINARY) target/deb

book: ## Make the book in docs/ into HTML: target/book (needs mdBook: cargo install mdbook)
	@command -v mdbook >/dev/null || { echo "no mdbook: cargo install mdbook"; exit 2; }
	mdbook build docs --dest-dir $(CURDIR)/target/book

clean: ## Remove what was built
	$(CARGO) clean
