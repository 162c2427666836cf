package fleet

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/internal/redistest"
	"mcplb/ratelimit"
)

// joinTLS starts a balancer of the fleet "test" that trusts what config says.
func joinTLS(t *testing.T, url, instance string, config *tls.Config) *balancer {
	t.Helper()
	b := &balancer{t: t, limiter: ratelimit.New(defaults), places: &memory{placed: map[string]Place{}}, log: &syncBuffer{}}
	b.Fleet = New(Options{
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: now, Limiter: b.limiter, Places: b.places, TLS: config,
		Report: func() Report { return Report{State: Serving, Version: "test", Admin: instance + ":8404"} },
	})
	b.limiter.OnBan(b.Banned)
	b.apply(url, instance)
	b.Resume()
	t.Cleanup(func() { b.Close(t.Context()) })
	return b
}

// With rediss:// a balancer shares over TLS, and only with a Redis whose certificate it
// trusts for the host of the URL: anything else would get the password. What is wrong is
// said in the status.
func TestTLS(t *testing.T) {
	t.Parallel()
	directory, port := t.TempDir(), strconv.Itoa(endpoint.FreePort(t, "127.0.0.1"))
	authority := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "authority")
	stranger := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "stranger")
	leaf := certificate.New(t, &authority, certificate.ECDSA(t), certificate.Today(), "127.0.0.1")
	certificate.Write(t, directory, "redis", leaf)
	certificate.Write(t, directory, "ca", authority)
	file := func(name string) string { return filepath.Join(directory, name) }
	redis := redistest.Start(t, "--tls-port", port, "--tls-cert-file", file("redis.pem"), "--tls-key-file", file("redis.key"),
		"--tls-ca-cert-file", file("ca.pem"), "--tls-auth-clients", "no", "--requirepass", secret)
	trusting := &tls.Config{RootCAs: certificate.Pool(authority)}
	login := ":" + secret + "@"
	secure := "rediss://" + login + "127.0.0.1:" + port + "/0"

	a := joinTLS(t, secure, "a", trusting)
	b := join(t, strings.Replace(redis.URL(), "//", "//"+login, 1), "b", defaults)
	connected(t, a, b)
	a.ban("192.0.2.1/32", time.Hour)
	eventually(t, "the other one has the ban", func() bool { return strings.Contains(b.banned(), "192.0.2.1/32") })
	if s := a.Status(); s.Redis != "rediss://:***@127.0.0.1:"+port+"/0" {
		t.Errorf("the status shows %s", s.Redis)
	}

	for name, test := range map[string]struct {
		url           string
		config        *tls.Config
		error, advice string
	}{
		"unknown authority":     {secure, &tls.Config{RootCAs: certificate.Pool(stranger)}, "x509", "certificate"},
		"the system's roots":    {secure, nil, "x509", "certificate"},
		"another host's":        {strings.Replace(secure, "127.0.0.1", "localhost", 1), trusting, "x509", "certificate"},
		"Redis without TLS":     {"rediss://" + login + redis.Address(), trusting, "", "redis://"},
		"TLS where none is set": {strings.Replace(secure, "rediss", "redis", 1), nil, "", "rediss://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := joinTLS(t, test.url, "c", test.config)
			eventually(t, "the status has the error", func() bool { return c.Status().Error != "" })
			s := c.Status()
			if s.Connected || !strings.Contains(s.Error, test.error) || !strings.Contains(s.Advice, test.advice) {
				t.Errorf("the status has %q and advises %q", s.Error, s.Advice)
			}
			if strings.Contains(s.Error+c.log.String()+s.Redis, secret) {
				t.Error("the password shows")
			}
		})
	}
}
