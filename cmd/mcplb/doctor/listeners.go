package doctor

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"mcplb/cmd/internal/holder"
)

// ownProgram is the name of the process that may have the addresses already.
const ownProgram = "mcplb"

// listeners examines whether every address can be listened on.
func (e *examination) listeners() {
	seen := map[string]bool{}
	for i := range e.config.Frontends {
		f := &e.config.Frontends[i]
		for _, address := range f.Listen {
			e.listener("frontend."+f.Name+".listen", address, seen)
		}
	}
	e.listener("admin.listen", e.config.Admin.Listen, seen)
	e.listener("admin.health_listen", e.config.Admin.HealthListen, seen)
}

// listener examines one address of the configuration, unless it was seen before.
func (e *examination) listener(key, address string, seen map[string]bool) {
	if address == "" || seen[address] {
		return
	}
	seen[address] = true
	switch err := e.Bind(address); {
	case err == nil:
		e.add(OK, "listen", "", "%s is free (%s)", address, key)
	case errors.Is(err, syscall.EADDRINUSE):
		e.inUse(key, address)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.add(Problem, "listen", "keep AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or choose a port above 1023",
			"%s (%s) is not allowed to this user: %s", address, key, reason(err))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.add(Problem, "listen", "correct "+key+", or add the address (ip addr add); for one that moves between machines, sysctl -w net.ipv4.ip_nonlocal_bind=1",
			"this machine does not have %s (%s)", address, key)
	default:
		e.add(Problem, "listen", "correct "+key, "%s (%s) cannot be used: %s", address, key, reason(err))
	}
}

// inUse reports who has an address.
func (e *examination) inUse(key, address string) {
	_, port, _ := net.SplitHostPort(address) // Bind has accepted it
	found, known := e.Holder(address)
	switch {
	case !known:
		e.add(Warning, "listen", "nothing, if that is mcplb itself; otherwise see which program it is, as root: ss -ltnp 'sport = :"+port+"'",
			"%s (%s) is in use, by a program that this user may not see", address, key)
	case found.Name == ownProgram:
		e.add(OK, "listen", "", "%s is served by mcplb, pid %d (%s)", address, found.PID, key)
	default:
		e.add(Problem, "listen", "stop that program, or change "+key, "%s (%s) is in use by %s, pid %d", address, key, found.Name, found.PID)
	}
}

// bindable binds to an address for a moment, without listening: clients never see it.
func bindable(address string) error {
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return err
	}
	family, name := socketAddress(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && to.IP == nil {
		name = &unix.SockaddrInet4{Port: to.Port}
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, name))
}

// socketAddress is an address for bind(2). Without a host it is every address, of IPv4
// and of IPv6.
func socketAddress(to *net.TCPAddr) (family int, name unix.Sockaddr) {
	if ip := to.IP.To4(); ip != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(ip)}
	}
	six := &unix.SockaddrInet6{Port: to.Port}
	copy(six.Addr[:], to.IP.To16())
	if zone, err := net.InterfaceByName(to.Zone); err == nil {
		six.ZoneId = uint32(zone.Index)
	} else if number, err := strconv.ParseUint(to.Zone, 10, 32); err == nil {
		six.ZoneId = uint32(number)
	}
	return unix.AF_INET6, six
}

// findHolder is Machine.Holder of this machine.
func findHolder(address string) (holder.Holder, bool) { return holder.Find("/proc", address) }
