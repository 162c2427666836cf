package proc

import (
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestFamily(t *testing.T) {
	t.Parallel()
	p, err := Start([]string{"/bin/sh", "-c", "sleep 60 & wait"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	for deadline := time.Now().Add(10 * time.Second); len(Family(p.PID())) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the family is %v", Family(p.PID()))
		}
	}
	if u := UsageOfFamily(p.PID()); u.Resident == 0 || u.Files < 6 {
		t.Errorf("in use: %+v", u)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	if u, err := UsageOf(os.Getpid(), false); err != nil || u.Resident == 0 || u.Files != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := UsageOf(1<<30, true); err == nil {
		t.Errorf("a process that does not exist has %+v", u)
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	p, err := Start([]string{"/bin/sh", "-c", "echo no such thing"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if output, ended := p.Ended(); ended {
			if strings.TrimSpace(output) != "no such thing" || !strings.HasSuffix(p.Path(), "sh") {
				t.Errorf("%s printed %q", p.Path(), output)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	if _, err := Start([]string{"/no/such/program"}); err == nil {
		t.Error("a program that does not exist was started")
	}
}
