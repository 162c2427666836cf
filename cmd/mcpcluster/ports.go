package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"mcplb/cmd/internal/holder"
)

// checkAddresses verifies, before anything is started, that every member can listen
// on its addresses. Its error names every address that is not available.
func checkAddresses(system system, members []member) error {
	var problems []error
	for _, member := range members {
		for _, endpoint := range member.addresses {
			// Held until the end, to find two members with the same address.
			release, err := system.probe(endpoint.address)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s of %s %s: %w",
					endpoint.label, member.role, member.name, explain(system.proc, endpoint.address, err)))
				continue
			}
			defer release()
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("nothing was started:\n%w", errors.Join(problems...))
	}
	return nil
}

// probe listens on an address as the member will.
func probe(address string) (release func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return func() { listener.Close() }, nil
}

// explain adds to a listen error which process is in the way, or what to do.
func explain(proc, address string, err error) error {
	advice := "correct the address in the configuration (-c)"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = holderAdvice(proc, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine does not have the address: correct it in the configuration (-c), or add it (ip addr add)"
	case errors.Is(err, syscall.EACCES):
		advice = "the port needs privileges: use one above 1023"
	}
	return fmt.Errorf("%w: %s", err, advice)
}

func holderAdvice(proc, address string) string {
	found, ok := holder.Find(proc, address)
	switch {
	case !ok:
		return "another process listens there: stop it, or change the address in the configuration (-c)"
	case found.Self:
		return "another member of this cluster has that port, on this address or on every one: change one in the configuration (-c)"
	default:
		return fmt.Sprintf("%s (pid %d) listens there: stop it, or change the address in the configuration (-c)", found.Name, found.PID)
	}
}
