package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"
)

// operator disturbs the balancer and the servers of backend "nodes".
type operator struct {
	*scene
	random *rand.Rand
}

// action is something that an operator does.
type action struct {
	name   string
	weight int // how often
	do     func(o *operator, ctx context.Context) error
}

var actions = []action{
	{"reload", 8, (*operator).reload},
	{"reload of a broken file", 2, (*operator).reloadBroken},
	{"reload of half a certificate", 2, (*operator).reloadHalf},
	{"name server misbehaves", 5, (*operator).misleadNames},
	{"several reloads at once", 1, (*operator).reloadOften},
	{"upgrade", 3, (*operator).upgrade},
	{"upgrade during a reload", 1, (*operator).reloadAndUpgrade},
	{"server killed", 3, (*operator).killServer},
	{"server stopped", 3, (*operator).stopServer},
	{"server changed", 12, (*operator).changeServer},
	{"connections ended", 4, (*operator).killConnections},
	{"ban", 3, (*operator).ban},
	{"looking", 5, (*operator).look},
}

// work acts at random until ctx ends.
func (o *operator) work(ctx context.Context) {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for ctx.Err() == nil {
		n := o.random.IntN(total)
		for _, a := range actions {
			if n -= a.weight; n >= 0 {
				continue
			}
			o.act(ctx, a)
			break
		}
		pause(ctx, time.Duration(o.random.IntN(1500))*time.Millisecond)
	}
}

func (o *operator) act(ctx context.Context, a action) {
	err := a.do(o, ctx)
	switch {
	case err == nil:
		o.report.succeeded("operator: " + a.name)
	case ctx.Err() != nil: // the end of the run
	case errors.Is(err, errCommand): // a server that a reload has removed, perhaps
		o.report.failure("operator: " + a.name)
	default:
		o.report.finding("operator: %s: %v", a.name, err)
	}
	if !alive(o.balancer.serving()) {
		o.report.finding("the balancer has ended after %q", a.name)
		o.end()
	}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (o *operator) install(s settings) error {
	return write(o.balancer.configFile(), s.text(o.directory, o.steady))
}

func (o *operator) reload(ctx context.Context) error {
	if err := o.install(variation(o.random, o.servers)); err != nil {
		return err
	}
	return o.reloadNow(ctx, true)
}

// reloadNow sends SIGHUP and waits for a reload that succeeds or fails as wanted.
func (o *operator) reloadNow(ctx context.Context, want bool) error {
	before, err := o.balancer.status(ctx)
	if err != nil {
		return err
	}
	if err := o.balancer.hangUp(); err != nil {
		return err
	}
	var after *status
	err = o.balancer.await(ctx, time.Minute, func() bool {
		after, err = o.balancer.status(ctx)
		return err == nil && after.Process.Reload.Time.After(before.Process.Reload.Time)
	})
	if err != nil {
		return errors.New("a reload does not end")
	}
	if after.Process.Reload.Success != want {
		o.report.finding("a reload had success %v: %s", after.Process.Reload.Success, after.Process.Reload.Error)
	}
	return nil
}

var broken = []string{"[", "nonsense = 1\n", "\xff\xfe", "[frontend.x]\nmode = 'http'\n", strings.Repeat("[a]\n", 1000)}

func (o *operator) reloadBroken(ctx context.Context) error {
	good, err := os.ReadFile(o.balancer.configFile())
	if err != nil {
		return err
	}
	if err := write(o.balancer.configFile(), string(good)+broken[o.random.IntN(len(broken))]); err != nil {
		return err
	}
	err = o.reloadNow(ctx, false)
	return errors.Join(err, write(o.balancer.configFile(), string(good)))
}

// reloadHalf reloads while a file of TLS is half written, or gone.
func (o *operator) reloadHalf(ctx context.Context) error {
	file := o.file([]string{"cert.pem", "key.pem", "ca.pem"}[o.random.IntN(3)])
	good, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if o.random.IntN(2) == 0 {
		err = os.Remove(file)
	} else {
		err = os.WriteFile(file, good[:o.random.IntN(len(good)-40)], 0o600)
	}
	if err != nil {
		return err
	}
	err = o.reloadNow(ctx, false)
	return errors.Join(err, write(file, string(good)))
}

// misleadNames lets the name server misbehave during a reload or an upgrade.
func (o *operator) misleadNames(ctx context.Context) error {
	o.names.behave(misbehaviours[o.random.IntN(len(misbehaviours))])
	defer o.names.behave("")
	pause(ctx, time.Duration(o.random.IntN(3000))*time.Millisecond)
	if o.random.IntN(4) == 0 {
		return o.upgrade(ctx)
	}
	return o.reload(ctx)
}

func (o *operator) reloadOften(context.Context) error {
	for range 10 {
		if err := o.install(variation(o.random, o.servers)); err != nil {
			return err
		}
		if err := o.balancer.hangUp(); err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) upgrade(ctx context.Context) error { return o.balancer.upgrade(ctx) }

func (o *operator) reloadAndUpgrade(ctx context.Context) error {
	if err := o.reloadOften(ctx); err != nil {
		return err
	}
	return o.balancer.upgrade(ctx)
}

func (o *operator) anyServer() *server { return o.servers[o.random.IntN(len(o.servers))] }

func (o *operator) anyBackend() string {
	return "nodes" + backendKinds[o.random.IntN(len(backendKinds))].suffix
}

func (o *operator) killServer(ctx context.Context) error {
	s := o.anyServer()
	s.kill()
	pause(ctx, time.Duration(o.random.IntN(4000))*time.Millisecond)
	return s.start()
}

func (o *operator) stopServer(ctx context.Context) error {
	s := o.anyServer()
	s.signal(syscall.SIGSTOP)
	pause(ctx, time.Duration(o.random.IntN(5000))*time.Millisecond)
	s.signal(syscall.SIGCONT)
	return nil
}

func (o *operator) changeServer(ctx context.Context) error {
	path := "/api/v1/backends/" + o.anyBackend() + "/servers/" + o.anyServer().name
	change := []map[string]any{
		{"admin": "drain"}, {"admin": "maint"}, {"admin": "ready"}, {"admin": "ready"}, {"admin": "ready"},
		{"weight": o.random.IntN(200)}, {"maxconn": o.random.IntN(60)},
	}[o.random.IntN(7)]
	_, err := o.balancer.call(ctx, "PATCH", path, change)
	return err
}

func (o *operator) killConnections(ctx context.Context) error {
	query := "?backend=" + o.anyBackend() + "&server=" + o.anyServer().name
	if o.random.IntN(2) == 0 {
		query = "?client=" + o.disturbedSource(o.random.IntN(o.clients))
	}
	_, err := o.balancer.call(ctx, "DELETE", "/api/v1/connections"+query, nil)
	return err
}

func (o *operator) ban(ctx context.Context) error {
	source := o.disturbedSource(o.random.IntN(o.clients))
	_, err := o.balancer.call(ctx, "POST", "/api/v1/bans", map[string]any{"source": source, "seconds": o.random.IntN(3) + 1})
	if err == nil && o.random.IntN(2) == 0 {
		_, err = o.balancer.call(ctx, "DELETE", "/api/v1/bans/"+source, nil)
	}
	return err
}

func (o *operator) look(ctx context.Context) error {
	for _, path := range []string{"/", "/stats;csv", "/metrics", "/api/v1/connections", "/health"} {
		if _, err := o.balancer.call(ctx, "GET", path, nil); err != nil {
			return err
		}
	}
	return nil
}
