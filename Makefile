# The one door. Each target installs what it needs, pinned, and works offline once that is there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

export HOME ?= /root
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slash80
DESTDIR ?=

# Debian's Python, never a pyenv or container one: its library is what gets frozen.
PYTHON := /usr/bin/python3
LOCKS := requirements.txt tests/tools/python.txt
CONFORMANCE_SETS := tests/tools/build.sh tests/tools/go.txt $(wildcard tests/tools/conformance/*/*)
CONFORMANCE_TOOLS = $(CACHE)/conformance-$(shell cat $(CONFORMANCE_SETS) 2> /dev/null | sha256sum | cut -c 1-12)
TOOL_SETS := tests/tools/build.sh tests/tools/go.txt \
	$(filter-out tests/tools/conformance/%,$(wildcard tests/tools/*/go.* tests/tools/*/build.env))
# Looked up when used, not when read: on a fresh machine apt has brought the interpreter by then.
VENV = $(CACHE)/venv-$(shell { $(PYTHON) -VV; cat $(LOCKS); } 2>&1 | sha256sum | cut -c 1-12)
TOOLS = $(CACHE)/tools-$(shell cat $(TOOL_SETS) 2> /dev/null | sha256sum | cut -c 1-12)
CLUSTER_SETS := tests/tools/build.sh tests/tools/go.txt $(wildcard tests/tools/cluster/*/*)
CLUSTER_TOOLS = $(CACHE)/cluster-$(shell cat $(CLUSTER_SETS) 2> /dev/null | sha256sum | cut -c 1-12)
LIBPYTHON = libpython$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PY = $(VENV)/bin/python
# The fuzzer has a place of its own: it comes for some Pythons and machines only, and nothing else needs it.
FUZZ = $(CACHE)/fuzz-$(shell { $(PYTHON) -VV; cat requirements.txt tests/tools/fuzz.txt; } 2>&1 | sha256sum | cut -c 1-12)
FUZZ_SECONDS ?= 60
PYTHON_FILES := import sysconfig as s; print(s.get_path('include'), s.get_config_var('LIBPL') + '/' + s.get_config_var('LIBRARY'))
ENGINE := build/dist/.slash80/engine
LAUNCHER := build/launcher
UNITS := $(addprefix cni/slash80,.service -firewall.service -firewall.timer)
# No libc of the node is needed: musl is linked in, and half as large as glibc would be.
CFLAGS := -std=c11 -Wall -Wextra -Werror -Wno-format-nonliteral -Ibuild
LAUNCHER_FLAGS := -Os -static -s -ffunction-sections -Wl,--gc-sections
SANITIZE := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
ROOT := $(CURDIR)/build/root

# Whatever runs leaves its files under build/, or none.
export PYTHONPATH := $(CURDIR)/src:$(CURDIR)/tests:$(CURDIR)
export PYTHONDONTWRITEBYTECODE := 1
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/build/hypothesis
export PYINSTALLER_CONFIG_DIR := $(CURDIR)/build/pyinstaller
export SLASH80_ROOT := $(ROOT)
export SLASH80_TOOLS = $(TOOLS)
export SLASH80_FUZZ = $(FUZZ)/bin/python
export SLASH80_CLUSTER_TOOLS = $(CLUSTER_TOOLS)
export SLASH80_CONFORMANCE_TOOLS = $(CONFORMANCE_TOOLS)
export SLASH80_CACHE = $(CACHE)
# How much is tried: `ci`, the same every time, or `nightly`, every shape, more often and other examples.
PROFILE ?= ci
export SLASH80_PROFILE = $(PROFILE)

# What is built here has steps in common, and takes all processors by itself. `test` has its own way to do two things at once.
.NOTPARALLEL:
.PHONY: help fresh demo test ready unit launcher netns roots runtime cluster conformance kernels kind kind-down image fuzz fuzz-launcher soak mutants check lint types rooms size links words format docs bench build install uninstall \
	root tools cluster-tools conformance-tools venv fuzz-venv lock clean distclean apt-python apt-freeze apt-launcher apt-net apt-tests \
	apt-tools apt-fresh apt-roots apt-runtime apt-cluster apt-fuzz apt-kernels

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do
		printf '  make %-10s %s\n' "$$name" "$$text"
	done

demo: root apt-net ## show on this machine, in network namespaces, what the plugin does
	@$(PY) tests/lab/demo.py

# What the tiers need is made before: side by side they would make it twice, and apt-get ends where another one works.
# With --keep-going a tier that lacks something says so itself.
KEEP_GOING = $(findstring k,$(firstword -$(MAKEFLAGS)))

# Tiers with commas between them run one after the other, the lanes side by side. A machine with more than two cores may
# have more of them.
LANES ?= unit,launcher,netns,roots cluster,runtime

test: ## run every tier, clusters and runtimes beside the others; each is a target too, ARGS goes to pytest
	@$(MAKE) ready || $(if $(KEEP_GOING),true,exit)
	exec $(PY) -m tiers --make="$(MAKE)" --logs=build/tiers $(if $(KEEP_GOING),--keep-going) \
		$(LANES)

ready: root image tools cluster-tools fuzz-venv build/launcher-sanitized build/launcher-fuzz apt-tests apt-roots apt-runtime apt-cluster

unit: venv ## test the pure parts; needs nothing
	@$(PY) -m $(if $(TESTS),pytest,again) $(ARGS) $(or $(TESTS),tests/unit)

launcher: root build/launcher-sanitized build/launcher-fuzz ## test the launcher against agents that misbehave
	@$(PY) -m $(if $(TESTS),pytest,again) $(ARGS) $(or $(TESTS),tests/launcher)

netns: root fuzz-venv apt-tests ## test source and frozen plugin in network namespaces; needs root
	@$(PY) -m $(if $(TESTS),pytest,again) $(ARGS) $(or $(TESTS),tests/netns)

roots: root apt-tests apt-roots ## test the frozen plugin in the roots of other systems; needs root
	@$(PY) -m $(if $(TESTS),pytest,again) $(ARGS) $(or $(TESTS),tests/roots)

runtime: root tools apt-tests apt-runtime ## test the frozen plugin under containerd and cnitool; needs root
	@$(PY) -m $(if $(TESTS),pytest,again) $(ARGS) $(or $(TESTS),tests/runtime)

cluster: root image tools cluster-tools apt-tests apt-cluster ## test on real Kubernetes clusters, made by kind; needs root
	@$(PY) -m $(if $(TESTS),pytest,again) -p no:randomly $(ARGS) $(or $(TESTS),tests/cluster)

conformance: root image tools cluster-tools conformance-tools apt-net apt-cluster ## run Kubernetes' own conformance tests of networking on a cluster of kind; needs root
	@$(PY) -m conformance $(ARGS)

kernels: root apt-tests apt-kernels ## test on the kernels of Debian 11, 12 and 13 in QEMU, a quarter of an hour each; needs root
	@nice $(PY) -m pytest -p no:randomly $(ARGS) tests/kernels

image: venv apt-cluster ## build the image of the DaemonSet
	@$(PY) -m kind image

kind: root image tools cluster-tools apt-net apt-cluster ## bring up a dual-stack kind cluster with slash80, to play with
	@$(PY) -m kind up

kind-down: venv ## remove that cluster and all that came with it
	@$(PY) -m kind down

fuzz: fuzz-venv apt-net ## throw bad input at the engine for FUZZ_SECONDS (60), or run the findings ARGS again; needs root
	@$(FUZZ)/bin/python tests/fuzz/target.py build/fuzz -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(ARGS)

fuzz-launcher: build/launcher-fuzz ## throw bad configurations at the launcher's reader for FUZZ_SECONDS (60)
	@mkdir -p build/fuzz-launcher
	build/launcher-fuzz build/fuzz-launcher tests/fuzz/launcher -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(ARGS)

OPERATIONS ?= 1000000
SEED ?=
soak: root apt-tests ## churn a node with OPERATIONS calls under kills, as a model allows; SEED repeats a run
	@$(PY) -m soak --operations $(OPERATIONS) $(SEED:%=--seed %)
	$(PY) -m soak.instants --runs 500 $(SEED:%=--seed %)

mutants: venv apt-tests ## put 60 random faults into a copy of the source, and print those that no test notices; needs root
	@nice $(PY) -m mutants $(ARGS)

check: lint types rooms size links words ## format, lint, types, who imports whom, sizes, links, words

lint: venv ## check format and lint
	@$(PY) -m ruff format --check
	$(PY) -m ruff check

types: venv ## check types
	@$(PY) -m mypy

rooms: venv ## check who imports whom
	@$(VENV)/bin/lint-imports --no-logo --cache-dir build/import-linter

size: venv ## print the size table of this tree and what breaks its hard limits
	@$(PY) tests/checks/size_table.py

links: venv ## check that what the documents refer to exists
	@$(PY) tests/checks/links.py

words: venv ## check documents, docstrings, comments and messages against the list of words
	@$(PY) tests/checks/wording.py

format: venv ## format the sources and fix what the linter can
	@$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

docs: venv ## write docs/configuration.md from the configuration's models
	@$(PY) tests/checks/reference.py > docs/configuration.md

fresh: venv apt-fresh ## try the targets on a bare Debian of their own, or ARGS=--short, or ARGS='demo kind'; needs root
	@mkdir -p build/fresh
	exec setpriv --pdeathsig TERM tests/fresh/contained.sh $(PY) -m fresh $(ARGS)

bench: root tools apt-net apt-tools ## measure ADD and DEL beside the reference plugins
	@$(PY) -m bench $(ARGS)

build: $(ENGINE) $(LAUNCHER) ## build the launcher, and freeze the engine into build/dist/.slash80

build/launcher-texts.h: cni/header.py $(wildcard src/slash80/*.py src/slash80/cni/*.py) | venv
	@mkdir -p build
	$(PY) cni/header.py > $@

$(LAUNCHER): cni/launcher.c cni/conf_scan.h build/launcher-texts.h | apt-launcher
	@musl-gcc $(CFLAGS) $(LAUNCHER_FLAGS) -o $@ $<

# What becomes the engine, and nft, with the libraries beside it.
build/starter: cni/starter.c | apt-launcher
	@mkdir -p build
	musl-gcc $(CFLAGS) $(LAUNCHER_FLAGS) -o $@ $<

build/starter-nft: cni/starter.c | apt-launcher
	@mkdir -p build
	musl-gcc $(CFLAGS) -DPRELOAD='"libnft-preload.so"' $(LAUNCHER_FLAGS) -o $@ $<

build/libnft-preload.so: cni/nft_preload.c | apt-freeze
	@mkdir -p build
	gcc $(CFLAGS) -Os -s -shared -fPIC -o $@ $<

# Python is linked in, and at a fixed address: that is faster than its shared library by a tenth. -l: names the library
# itself, which is there without the packages for developers.
build/engine: cni/engine.c | apt-freeze
	@mkdir -p build
	read -r headers library < <($(PYTHON) -c "$(PYTHON_FILES)")
	gcc $(CFLAGS) -Os -s -no-pie -isystem $$headers -o $@ $< -Wl,-export-dynamic $$library -l:libexpat.so.1 -l:libz.so.1 -lm

build/launcher-fuzz: tests/fuzz/launcher.c cni/conf_scan.h | apt-fuzz
	@mkdir -p build
	clang-14 $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer -Icni -o $@ $<

build/launcher-sanitized: cni/launcher.c cni/conf_scan.h build/launcher-texts.h | apt-tools
	@gcc $(CFLAGS) $(SANITIZE) -o $@ $<

$(ENGINE): $(shell find src -name __pycache__ -prune -o \( -name '*.py' -o -type d \) -print 2> /dev/null) \
		cni/engine.spec cni/collect.py cni/notices.py LICENSE build/starter build/starter-nft build/libnft-preload.so build/engine \
		cni/nft_preload.c $(LOCKS) | venv apt-freeze
	@mkdir -p build
	exec 9> build/lock && flock 9
	rm -rf build/freeze
	echo "freezing the engine"
	# tracebacks keep their lines; the columns would be a twentieth of what is loaded
	$(PY) -X no_debug_ranges -m PyInstaller --noconfirm --log-level WARN --distpath build/freeze --workpath build/pyinstaller cni/engine.spec
	rm -rf build/dist
	mv build/freeze build/dist

install: $(ENGINE) $(LAUNCHER) ## lay out the plugin under DESTDIR (default /)
	@umask 022
	$< install --bin-dir $(DESTDIR)/opt/cni/bin --launcher $(LAUNCHER)
	install -D -m 644 cni/05-slash80.conflist $(UNITS) -t $(DESTDIR)/usr/share/slash80

uninstall: ## remove what install laid out under DESTDIR
	@rm -rf $(DESTDIR)/opt/cni/bin/slash80 $(DESTDIR)/opt/cni/bin/.slash80
	rm -f $(patsubst cni/%,$(DESTDIR)/usr/share/slash80/%,cni/05-slash80.conflist $(UNITS))
	rmdir --ignore-fail-on-non-empty $(DESTDIR)/usr/share/slash80 2> /dev/null || true

# Two tiers that run side by side both ask for it.
root: $(ENGINE) $(LAUNCHER)
	@exec 9> build/root.lock && flock 9
	$(MAKE) install DESTDIR=$(ROOT)

venv: apt-python
	@if [[ -e $(VENV)/complete ]]; then exit; fi
	mkdir -p $(CACHE)
	exec 9> $(VENV).lock && flock 9
	if [[ -e $(VENV)/complete ]]; then exit; fi
	echo "installing Python packages into $(VENV)"
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	unset PYTHONPATH PYTHONDONTWRITEBYTECODE
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes $(LOCKS:%=-r %)
	touch $(VENV)/complete

fuzz-venv: apt-python
	@if [[ -e $(FUZZ)/complete ]]; then exit; fi
	mkdir -p $(CACHE)
	exec 9> $(FUZZ).lock && flock 9
	if [[ -e $(FUZZ)/complete ]]; then exit; fi
	rm -rf $(FUZZ)
	$(PYTHON) -m venv $(FUZZ)
	unset PYTHONPATH PYTHONDONTWRITEBYTECODE
	if $(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
			-r requirements.txt -r tests/tools/fuzz.txt; then
		touch $(FUZZ)/complete
	else
		echo "no atheris for this Python and machine: the fuzz target is left out"
	fi

tools: venv apt-tools ## build containerd, CRI-O, runc, crictl, critest, cnitool and the reference plugins
	@if [[ -d $(TOOLS) ]]; then exit; fi
	exec 9> $(CACHE)/lock && flock 9
	if [[ -d $(TOOLS) ]]; then exit; fi
	tests/tools/build.sh $(TOOLS) $(CACHE) $(PY)

cluster-tools: venv apt-tools ## build Kubernetes, etcd, CoreDNS and kind: 20 minutes the first time
	@if [[ -d $(CLUSTER_TOOLS) ]]; then exit; fi
	exec 9> $(CACHE)/lock && flock 9
	if [[ -d $(CLUSTER_TOOLS) ]]; then exit; fi
	tests/tools/cluster/build.sh $(CLUSTER_TOOLS) $(CACHE) $(PY)

conformance-tools: venv apt-tools ## build the end-to-end tests of Kubernetes: a quarter of an hour the first time
	@if [[ -d $(CONFORMANCE_TOOLS) ]]; then exit; fi
	exec 9> $(CACHE)/lock && flock 9
	if [[ -d $(CONFORMANCE_TOOLS) ]]; then exit; fi
	tests/tools/conformance/build.sh $(CONFORMANCE_TOOLS) $(CACHE) $(PY)

lock: apt-python ## pin the newest Python packages that pyproject.toml allows
	@$(PYTHON) -m venv $(CACHE)/venv-lock
	export PIP_DISABLE_PIP_VERSION_CHECK=1 CUSTOM_COMPILE_COMMAND='make lock'
	$(CACHE)/venv-lock/bin/pip install --quiet pip-tools==7.6.2
	compile="$(CACHE)/venv-lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe"
	compile+=" --no-emit-index-url --no-emit-find-links --no-emit-trusted-host"
	$$compile -o requirements.txt pyproject.toml
	group='import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"][sys.argv[1]], sep="\n")'
	$(PYTHON) -c "$$group" dev | $$compile -o tests/tools/python.txt -c requirements.txt -
	$(PYTHON) -c "$$group" fuzz | $$compile -o tests/tools/fuzz.txt -c requirements.txt -

clean: ## remove what was built or cached in this tree
	@rm -rf build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the packages and tools kept in CACHE too
	@rm -rf $(CACHE)/venv-* $(CACHE)/fuzz-* $(CACHE)/tools-* $(CACHE)/set-* $(CACHE)/go-* $(CACHE)/lock
	rm -rf $(CACHE)/cluster-* $(CACHE)/conformance-* $(CACHE)/node-* $(CACHE)/image-* $(CACHE)/kernel-* $(CACHE)/root-* $(CACHE)/builder $(CACHE)/mutants

# Install those of the Debian packages $(1) that are missing; the archive is asked only then. podman's own conflist stays
# out: a containerd of this machine would take it for its network.
define apt
@missing=$$(for package in $(1); do
	[[ $$(dpkg-query -Wf '$${db:Status-Status}' $$package 2> /dev/null) == installed ]] || echo $$package
done)
if [[ $$missing ]]; then
	echo "installing Debian packages:" $$missing
	apt-get -q update
	DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 -o DPkg::Options::=--path-exclude='/etc/cni/*' \
		install --no-install-recommends $$missing
fi
endef

apt-python:
	$(call apt,ca-certificates python3 python3-venv)

apt-freeze: apt-python
	$(call apt,binutils gcc libc6-dev libexpat1 $(LIBPYTHON)-dev musl-tools nftables zlib1g)

apt-launcher:
	$(call apt,gcc musl-tools)

apt-net:
	$(call apt,iproute2 nftables)

apt-tests: apt-net
	$(call apt,conntrack iputils-ping procps util-linux)

apt-tools:
	$(call apt,gcc libc6-dev)

apt-fuzz: apt-tools
	$(call apt,clang-14 libclang-rt-14-dev)

apt-fresh:
	$(call apt,git mmdebstrap util-linux)

apt-roots: apt-tools
	$(call apt,busybox-static debian-archive-keyring mmdebstrap)

apt-runtime: apt-tools
	$(call apt,busybox-static containerd podman runc)

apt-kernels:
	$(call apt,busybox-static cpio kmod qemu-system-x86)

apt-cluster: apt-tools
	$(call apt,aardvark-dns catatonit crun iptables mmdebstrap netavark podman zstd)
