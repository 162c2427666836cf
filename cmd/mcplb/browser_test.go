package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	browsers "mcplb/internal/browser"
	"mcplb/internal/lateness"
	"mcplb/proxy/admin"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
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
	return browsers.Start(t)
}

// do runs actions in the browser. How long the test takes on a busy machine does
// not matter, only that each step ends.
func do(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*patience) // it is many processes
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

// checkKeyboard checks that the focus stays while the page updates itself.
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

// Who has no pointer drains a server, with a reason, by the keyboard alone: from the top of the
// page by the skip link, tabs and Enter. The focus is visible on the way and returns to the
// server's row. What a reader of the page then sees is that reason.
func TestDrainByKeyboardAlone(t *testing.T) {
	ctx := browser(t)
	s := newSetup(t, startEcho(t), startEcho(t))
	b := startBalancer(t, s)
	do(t, ctx, "opening the page", chromedp.Navigate("http://"+b.admin+"/"), chromedp.KeyEvent("\t"))
	if at := focus(t, ctx); at != "Skip to the servers" {
		t.Fatalf("the first tab leads to %q", at)
	}
	do(t, ctx, "following the link", chromedp.KeyEvent("\r"))
	for steps := 0; focus(t, ctx) != "Drain node2"; steps++ {
		if steps > 12 {
			t.Fatalf("12 tabs from the servers, the focus is on %q", focus(t, ctx))
		}
		do(t, ctx, "pressing tab", chromedp.KeyEvent("\t"))
	}
	var outline string
	do(t, ctx, "looking at the focus", chromedp.Evaluate(`getComputedStyle(document.activeElement).outlineStyle`, &outline))
	if outline != "solid" {
		t.Errorf("the outline of the focus is %q", outline)
	}
	do(t, ctx, "draining", chromedp.KeyEvent("\r"), chromedp.WaitVisible("dialog[open]", chromedp.ByQuery), chromedp.KeyEvent("new kernel"), chromedp.KeyEvent("\r"))
	shows(t, ctx, row("node2", ".state"), "drain, up")
	shows(t, ctx, row("node2", "td"), "new kernel, by 127.0.0.1")
	shows(t, ctx, "#findings", "server nodes/node2 is in drain (new kernel, by 127.0.0.1")
	if server := b.status(t).Backends[0].Servers[1]; server.Admin != admin.AdminDrain || !strings.HasPrefix(server.AdminReason, "new kernel, by ") {
		t.Errorf("the server is in %s: %s", server.Admin, server.AdminReason)
	}
	if at := focus(t, ctx); at != "Ready node2" {
		t.Errorf("afterwards the focus is on %q", at)
	}
	do(t, ctx, "asking for maintenance, and changing one's mind", chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"),
		chromedp.WaitVisible("dialog[open]", chromedp.ByQuery), chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("dialog[open]", chromedp.ByQuery))
	if server := b.status(t).Backends[0].Servers[1]; server.Admin != admin.AdminDrain {
		t.Errorf("after Escape the server is in %s", server.Admin)
	}
}

// focus describes what has the focus.
func focus(t *testing.T, ctx context.Context) (found string) {
	t.Helper()
	do(t, ctx, "looking for the focus", chromedp.Evaluate(`document.activeElement.getAttribute("aria-label") || document.activeElement.name || document.activeElement.textContent.slice(0, 40)`, &found))
	return found
}

// Search, order and "only problems" work at once, survive updates, and are in the address, so
// that they can be shared. A server's row stays the same while others appear above it.
func TestChoiceInBrowser(t *testing.T) {
	ctx := browser(t)
	s := newSetup(t, startEcho(t), startEcho(t), freeAddress(t)) // nobody listens on the third
	b := startBalancer(t, s)
	do(t, ctx, "opening the page", chromedp.Navigate("http://"+b.admin+"/"))
	rows := func(want string) {
		t.Helper()
		eventually(t, func() error {
			var names string
			do(t, ctx, "reading the rows", chromedp.Evaluate(`[...document.querySelectorAll(".servers tbody tr")].map((r) => r.id).join(" ")`, &names))
			if names != want {
				return fmt.Errorf("the page shows %q, want %q", names, want)
			}
			return nil
		})
	}
	rows("nodes/node1 nodes/node2 nodes/node3")
	shows(t, ctx, row("node3", ".state"), "down")
	do(t, ctx, "looking for problems", chromedp.Click(`input[name=only]`, chromedp.ByQuery))
	rows("nodes/node3")
	before := text(t, ctx, "#live")
	eventually(t, func() error {
		if text(t, ctx, "#live") == before {
			return errors.New("the page does not update itself")
		}
		return nil
	})
	rows("nodes/node3")
	do(t, ctx, "looking for all, the worst first", chromedp.Click(`input[name=only]`, chromedp.ByQuery), chromedp.SetValue(`select[name=sort]`, "state", chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("select[name=sort]").dispatchEvent(new Event("input", {bubbles: true}))`, nil))
	rows("nodes/node3 nodes/node1 nodes/node2")
	do(t, ctx, "searching", chromedp.Evaluate(`document.getElementById("nodes/node2").here = true`, nil), chromedp.SendKeys(`input[name=q]`, "node2", chromedp.ByQuery))
	rows("nodes/node2")
	var kept bool
	var query string
	do(t, ctx, "looking at the row and the address", chromedp.Evaluate(`document.getElementById("nodes/node2").here === true`, &kept), chromedp.Evaluate(`location.search`, &query))
	if !kept || query != "?q=node2&sort=state" {
		t.Errorf("the row is the same: %v; the address has %q", kept, query)
	}
	shows(t, ctx, "#events", "nodes/node3 went down")
	do(t, ctx, "choosing a plot by the keyboard", chromedp.Focus(".plot", chromedp.ByQuery))
	eventually(t, func() error { // until the plot has samples
		do(t, ctx, "reading the plot", chromedp.KeyEvent(kb.ArrowLeft))
		if got := text(t, ctx, ".readout"); !strings.Contains(got, "main 0") {
			return fmt.Errorf("the plot reads %q", got)
		}
		return nil
	})
}

// checkWidths checks that the page needs no horizontal scrolling, in both themes.
// MCPLB_SCREENSHOTS names a directory for screenshots.
func checkWidths(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 768, 1280, 1440} {
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
