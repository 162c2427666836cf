package main

import (
	"context"
	"fmt"
	"mcplb/internal/lateness"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser starts a Chromium for the test, which is skipped if there is none. Any error
// in the page fails the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	ctx := quietBrowser(t)
	var mu sync.Mutex
	var wrong []string // guarded by mu
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if len(wrong) > 0 {
			t.Errorf("errors in the page: %s", strings.Join(wrong, "; "))
		}
	})
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				wrong = append(wrong, e.Entry.Text)
			}
		}
	})
	do(t, ctx, "listening to the log", log.Enable())
	return ctx
}

// quietBrowser is browser for a page that is to meet errors.
func quietBrowser(t *testing.T) context.Context {
	t.Helper()
	notInShort(t)
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("Chromium is not installed (apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)), chromedp.WSURLReadTimeout(patience))
	allocated, endProcess := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, end := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // events newer than the library
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the end of the browser
		end()
		endProcess()
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// profile is a directory for a browser, whose processes may still write there after
// its end.
func profile(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "mcplb-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, func() error { return os.RemoveAll(directory) }) })
	return directory
}

// do runs actions in the browser. How long the test takes on a busy machine does
// not matter, only that each step ends.
func do(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// text is the text of an element of the page.
func text(t *testing.T, ctx context.Context, selector string) (found string) {
	t.Helper()
	do(t, ctx, "reading "+selector, chromedp.Text(selector, &found, chromedp.ByQuery))
	return strings.TrimSpace(found)
}

// shows waits until the element shows the text: the page must update itself.
func shows(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	eventually(t, func() error {
		if got := text(t, ctx, selector); !strings.Contains(got, want) {
			return fmt.Errorf("%s shows %q, want %q", selector, got, want)
		}
		return nil
	})
}

// row is the selector of an element in a server's row.
func row(server, rest string) string { return fmt.Sprintf(`tr[id="nodes/%s"] %s`, server, rest) }

// press presses a server's button and confirms.
func press(t *testing.T, ctx context.Context, server, what string) {
	t.Helper()
	do(t, ctx, "pressing "+what, chromedp.Click(row(server, `button[data-do="`+what+`"]`), chromedp.ByQuery))
	if what != "ready" {
		do(t, ctx, "confirming "+what, chromedp.WaitVisible("dialog[open]", chromedp.ByQuery), chromedp.Click(`dialog button[value="yes"]`, chromedp.ByQuery))
	}
}

// In a real browser, the page shows traffic live, drains a server by a button, and
// shows that new clients go to other servers.
func TestStatsPageInBrowser(t *testing.T) {
	ctx := browser(t)
	s := newSetup(t, startEcho(t), startEcho(t))
	s.backend = "balance = 'roundrobin'"
	s.check = "interval = '100ms'"
	b := startBalancer(t, s)
	do(t, ctx, "opening the page", chromedp.Navigate("http://"+b.admin+"/"), chromedp.Evaluate(`window.untouched = true`, nil))
	shows(t, ctx, "#connections", "0")
	for range 4 {
		connect(t, b.frontend).expectEcho(t)
	}
	shows(t, ctx, "#connections", "4")
	shows(t, ctx, row("node1", "td:nth-child(3)"), "2")

	press(t, ctx, "node1", "drain")
	shows(t, ctx, row("node1", ".state"), "drain, up")
	shows(t, ctx, "#findings", "server nodes/node1 is in drain (from the stats page")
	for range 4 {
		connect(t, b.frontend).expectEcho(t)
	}
	shows(t, ctx, row("node2", "td:nth-child(3)"), "6")
	shows(t, ctx, row("node1", "td:nth-child(3)"), "2")
	press(t, ctx, "node1", "ready")
	shows(t, ctx, row("node1", ".state"), "up")
	press(t, ctx, "node2", "maint")
	shows(t, ctx, "#connections", "2")

	var untouched bool
	do(t, ctx, "looking whether it was loaded again", chromedp.Evaluate(`window.untouched === true`, &untouched))
	if !untouched {
		t.Error("the page was loaded again")
	}
	checkKeyboard(t, ctx)
	checkWidths(t, ctx)
}

// checkKeyboard uses a command by the keyboard alone. The focus stays while the page
// updates itself.
func checkKeyboard(t *testing.T, ctx context.Context) {
	t.Helper()
	var focused string
	const at = `document.activeElement.dataset.do + " " + document.activeElement.closest("td")?.dataset.name`
	do(t, ctx, "focusing", chromedp.Focus(row("node1", `button[data-do="drain"]`), chromedp.ByQuery), chromedp.KeyEvent("\t"), chromedp.Evaluate(at, &focused))
	if focused != "maint nodes/node1" {
		t.Errorf("after a tab, the focus is on %q", focused)
	}
	before := text(t, ctx, "#live")
	eventually(t, func() error {
		if text(t, ctx, "#live") == before {
			return fmt.Errorf("the page is still the one %s", before)
		}
		return nil
	})
	do(t, ctx, "looking for the focus", chromedp.Evaluate(at, &focused))
	if focused != "maint nodes/node1" {
		t.Errorf("after an update, the focus is on %q", focused)
	}
}

// checkWidths checks that the page needs no horizontal scrolling, in both themes.
// MCPLB_SCREENSHOTS names a directory for screenshots.
func checkWidths(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 768, 1400} {
			var wide int64
			var picture []byte
			do(t, ctx, "measuring",
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
				emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide))
			if wide > width {
				t.Errorf("%d pixels wide, the page needs %d", width, wide)
			}
			if directory := os.Getenv("MCPLB_SCREENSHOTS"); directory != "" {
				do(t, ctx, "taking a picture", chromedp.FullScreenshot(&picture, 100))
				if err := os.WriteFile(filepath.Join(directory, fmt.Sprintf("%s-%s-%d.png", t.Name(), theme, width)), picture, 0o644); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Without the token, the page has no buttons; with it, it has them.
func TestStatsPageToken(t *testing.T) {
	ctx := browser(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, startEcho(t), startEcho(t))
	s.adminLines = fmt.Sprintf("token_file = '%s'\n", token)
	b := startBalancer(t, s)
	var buttons int
	const count = `document.querySelectorAll("button[data-do]").length`
	do(t, ctx, "opening the page", chromedp.Navigate("http://"+b.admin+"/stats"), chromedp.Evaluate(count, &buttons))
	if buttons != 0 {
		t.Errorf("%d buttons without a token", buttons)
	}
	do(t, ctx, "showing the token", chromedp.SendKeys(`#token input`, "0123456789abcdef\r", chromedp.ByQuery), chromedp.WaitVisible(row("node1", "button"), chromedp.ByQuery))
	press(t, ctx, "node1", "drain")
	shows(t, ctx, row("node1", ".state"), "drain")
}

// A page of 200 servers is drawn and updated without a noticeable pause.
func TestStatsPageOfManyServers(t *testing.T) {
	ctx := browser(t)
	s := newSetup(t)
	echo := startEcho(t)
	_, port, _ := strings.Cut(echo, ":")
	for i := range 200 {
		s.servers = append(s.servers, fmt.Sprintf("127.0.%d.1:%s", 30+i, port))
	}
	b := startBalancer(t, s)
	do(t, ctx, "opening the page", chromedp.Navigate("http://"+b.admin+"/"))
	late := lateness.Measure(t)
	var took float64
	do(t, ctx, "renewing it", chromedp.Evaluate(`(async () => { const began = performance.now(); await refresh(); return performance.now() - began; })()`, &took,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	t.Logf("updating a page of 200 servers took %.0f ms", took)
	if limit := 10*time.Second + late(); took > float64(limit.Milliseconds()) { // 60 ms on an idle machine
		t.Errorf("updating it took %.0f ms", took)
	}
	checkWidths(t, ctx)
}
