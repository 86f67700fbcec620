# shellcheck shell=bash
# What a computer needs before Sightline can be built, tested and run. Sourced by ./run and ./test.
#
# On Debian and Ubuntu what is missing is installed; elsewhere it is named, with the command that
# installs it, before a compiler gets to complain about it in its own words.

# To build: a C compiler, cmake for Opus, the headers of libvpx and ALSA, and libclang, which reads
# the headers of libvpx and of the kernel's camera interface.
build_packages=(build-essential pkg-config cmake libvpx-dev libasound2-dev libpipewire-0.3-dev libclang-dev)
# To build the server alone.
server_packages=(build-essential)
# The window opens these by name while it starts, so the linker does not know about them.
window_packages=(libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0
  libwayland-client0 libwayland-egl1 libegl1 libgl1 libgl1-mesa-dri)
# For the tests: a screen, sound devices and a desktop bus that exist only in memory, a voice, networks
# in namespaces, and the validators of what goes into the package.
test_packages=(xvfb xauth xdotool imagemagick pulseaudio pulseaudio-utils pipewire pipewire-pulse wireplumber
  dbus at-spi2-core
  python3-gi gir1.2-atspi-2.0 espeak-ng sox iproute2 nftables openssl
  tcpdump desktop-file-utils appstream)

say() { if [ -t 2 ]; then printf '\033[1m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi; }
stop() { printf '%s\n' "$@" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# prepare_packages PACKAGE...: installs those that are not there (apt), or checks for what they give.
prepare_packages() {
  case $(uname -s) in
    MINGW* | MSYS* | CYGWIN*) stop "Sightline is not built for Windows yet; see docs/platforms.md." ;;
  esac
  if have apt-get && have dpkg-query; then
    install_with_apt "$@"
  else
    name_what_is_missing "$@"
  fi
}

install_with_apt() {
  local package missing=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || have sudo \
    || stop "Packages are missing, and there is no sudo to install them with. As root, run:" \
      "  apt-get install ${missing[*]}"
  say "Installing from the system's packages: ${missing[*]}"
  local log
  log=$(mktemp)
  quietly "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q \
    || stop "The list of packages could not be fetched. Is there a network?"
  quietly "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" \
    || stop "Installing failed; what apt-get said stands above."
  rm -f "$log"
}

# quietly LOG COMMAND...: shows what the command says only if it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  have llvm-config && return 0
  ldconfig -p 2>/dev/null | grep -q 'libclang[-.]' && return 0
  compgen -G '/usr/lib*/libclang*.so*' >/dev/null || compgen -G '/usr/lib*/llvm*/lib*/libclang*.so*' >/dev/null \
    || compgen -G '/Library/Developer/CommandLineTools/usr/lib/libclang.dylib' >/dev/null
}

name_what_is_missing() {
  local package missing=()
  for package in "$@"; do
    case $package in
      build-essential) have cc || missing+=("a C compiler") ;;
      pkg-config | cmake | sox | xdotool | espeak-ng | pulseaudio) have "$package" || missing+=("$package") ;;
      libvpx-dev) pkg-config --exists vpx 2>/dev/null || missing+=("libvpx with its headers") ;;
      libasound2-dev) [ "$(uname -s)" != Linux ] || pkg-config --exists alsa 2>/dev/null || missing+=("ALSA with its headers") ;;
      libpipewire-0.3-dev)
        [ "$(uname -s)" != Linux ] || pkg-config --exists libpipewire-0.3 2>/dev/null || missing+=("PipeWire with its headers") ;;
      libclang-dev) has_libclang || missing+=("libclang") ;;
      xvfb) have Xvfb || missing+=("Xvfb") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local how="Install them with your system's package manager"
  if [ "$(uname -s)" = Darwin ]; then
    how="xcode-select --install; brew install cmake pkg-config libvpx"
  elif have dnf; then
    how="sudo dnf install gcc gcc-c++ cmake pkgconf-pkg-config libvpx-devel alsa-lib-devel pipewire-devel clang-devel libxkbcommon-x11 mesa-dri-drivers"
  elif have pacman; then
    how="sudo pacman -S --needed base-devel cmake pkgconf libvpx alsa-lib libpipewire clang libxkbcommon-x11 mesa"
  elif have zypper; then
    how="sudo zypper install gcc gcc-c++ cmake pkgconf libvpx-devel alsa-devel pipewire-devel clang-devel libxkbcommon-x11-0 Mesa-dri"
  fi
  local list
  list=$(printf ', %s' "${missing[@]}")
  stop "Missing: ${list:2}." "  $how"
}

# at_least VERSION WANTED: compares dotted numbers.
at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

rust_is_enough() {
  have cargo && have rustc || return 1
  local version
  version=$(rustc --version 2>/dev/null | cut -d' ' -f2) && at_least "${version%%-*}" "$1"
}

# prepare_rust [COMPONENT...]: the Rust toolchain that Cargo.toml asks for.
prepare_rust() {
  local wanted component
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
  PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  if ! rust_is_enough "$wanted"; then
    if have rustup; then
      say "Updating Rust: version $wanted or later is needed."
      rustup toolchain install stable --profile minimal || stop "Rust could not be updated."
      export RUSTUP_TOOLCHAIN=stable
    else
      say "Installing Rust $wanted or later for this user, from https://rustup.rs (into ~/.cargo and ~/.rustup)."
      if ! have curl && have apt-get; then install_with_apt curl ca-certificates; fi
      have curl || stop "curl is needed to fetch it."
      curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path \
        || stop "Rust could not be installed. Install version $wanted or later by hand: https://rustup.rs"
      PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    rust_is_enough "$wanted" || stop "Rust $wanted or later is needed; this is $(rustc --version 2>&1)."
  fi
  for component in "$@"; do
    cargo "${component#rust}" --version >/dev/null 2>&1 && continue
    have rustup && rustup component add "$component" || stop "Rust's $component is missing."
  done
}
