package fleet

import (
	"context"
	"crypto/sha1" // what Redis names scripts by (EVALSHA)
	"crypto/tls"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"mcplb/conf"
)

// Time limits of Redis. One that is slower is as good as none: what is shared would be
// too old.
const (
	dialTimeout = 2 * time.Second
	callTimeout = time.Second
)

// poolSize is no number of connections: one goroutine needs one. After so many failures
// the client library dials in the background, and refuses to do so itself.
const poolSize = 1000

// script is what Redis runs as one step.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text, hex.EncodeToString(sum[:])}
}

// The scripts, see there.
var (
	//go:embed register.lua
	registerText string
	//go:embed rates.lua
	ratesText string
	//go:embed roster.lua
	rosterText string
	//go:embed repair.lua
	repairText string

	registerScript = newScript(registerText)
	ratesScript    = newScript(ratesText)
	rosterScript   = newScript(rosterText)
	repairScript   = newScript(repairText)

	allScripts = []*script{registerScript, ratesScript, rosterScript, repairScript}
)

// call is one run of a script. take gets its reply; an error of take is one of the call.
type call struct {
	script *script
	keys   []string
	args   []any
	take   func(reply reply) error
}

// link is a connection to Redis. Its methods are for one goroutine, except close.
type link struct {
	client *redis.Client
	secret conf.Secret
}

// The client library's log has nothing that Status does not have, and goes to standard error.
func init() { redis.SetLogger(discard{}) }

type discard struct{}

// Printf implements the client library's logger.
func (discard) Printf(context.Context, string, ...any) {}

// newLink returns a link, which connects when it is used. roots may be nil: the system's.
func newLink(r conf.Redis, base *tls.Config) *link {
	options := &redis.Options{
		Network: r.Network, Addr: r.Address, Username: r.User, Password: string(r.Password), DB: r.Database,
		Protocol: 2, MaxRetries: -1, PoolSize: poolSize, DialerRetries: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		OnConnect:   ping,
		DialTimeout: dialTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, PoolTimeout: callTimeout,
	}
	if r.TLS {
		host, _, _ := net.SplitHostPort(r.Address) // conf made it
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if base != nil {
			config = base.Clone()
		}
		config.ServerName = host
		options.TLSConfig = config
	}
	return &link{redis.NewClient(options), r.Password}
}

// ping asks a new connection whether it may be used: Redis calls commands of many words
// malformed where the password is missing.
func ping(ctx context.Context, conn *redis.Conn) error { return conn.Ping(ctx).Err() }

func (l *link) close() { _ = l.client.Close() } // nothing can be done about an error

// run makes the calls in one round trip. Each is made whatever becomes of the others. It
// returns the first error.
func (l *link) run(ctx context.Context, calls []call) error {
	missing, err := l.attempt(ctx, calls)
	if len(missing) == 0 {
		return err
	}
	if loadErr := l.load(ctx); loadErr != nil {
		return loadErr
	}
	missing, again := l.attempt(ctx, missing)
	if len(missing) > 0 && again == nil {
		again = errors.New("redis forgets scripts at once")
	}
	return cmpError(err, again)
}

// attempt makes the calls and returns those whose scripts Redis does not have yet.
func (l *link) attempt(ctx context.Context, calls []call) (missing []call, first error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+callTimeout)
	defer cancel()
	pipe := l.client.Pipeline()
	made := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		made[i] = pipe.EvalSha(ctx, c.script.sha, c.keys, c.args...)
	}
	_, failed := pipe.Exec(ctx) // each command has its error, unless there is no connection
	for i, c := range calls {
		answer, err := made[i].Result()
		if err == nil && answer == nil {
			err = failed
		}
		switch {
		case err == nil:
			err = c.take(reply{answer})
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			missing = append(missing, c)
			continue
		}
		first = cmpError(first, l.clean(err))
	}
	return missing, first
}

// load gives Redis the scripts.
func (l *link) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pipe := l.client.Pipeline()
	for _, s := range allScripts {
		pipe.ScriptLoad(ctx, s.text)
	}
	_, err := pipe.Exec(ctx)
	return l.clean(err)
}

// clean returns err without the password, whatever Redis or the library say.
func (l *link) clean(err error) error {
	if err == nil || l.secret == "" || !strings.Contains(err.Error(), string(l.secret)) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), string(l.secret), l.secret.String()))
}

// cmpError returns the first error that is one.
func cmpError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reply is what a script returned: anything, since something else may answer than Redis.
type reply struct{ value any }

var errReply = errors.New("redis answers what the script does not return")

// list returns the elements of a list of at least n.
func (r reply) list(n int) ([]reply, error) {
	values, ok := r.value.([]any)
	if !ok || len(values) < n {
		return nil, errReply
	}
	list := make([]reply, len(values))
	for i, v := range values {
		list[i] = reply{v}
	}
	return list, nil
}

// text returns a string; "" if it is none.
func (r reply) text() string {
	s, _ := r.value.(string)
	return s
}

// number returns an integer, also one in a string; 0 if it is none.
func (r reply) number() int64 {
	switch v := r.value.(type) {
	case int64:
		return v
	case string:
		var n int64
		if _, err := fmt.Sscan(v, &n); err == nil {
			return n
		}
	}
	return 0
}
