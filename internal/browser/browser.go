package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds a step. It only ends tests that hang.
const patience = 3 * time.Minute

// Start starts a Chromium for the test, which is skipped if there is none. It ends with the test.
func Start(t *testing.T) context.Context {
	t.Helper()
	tab, end, err := Launch(t.Context(), chromedp.UserDataDir(profile(t)), chromedp.WSURLReadTimeout(patience))
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return tab
}

// ErrMissing means that no Chromium is installed.
var ErrMissing = errors.New("no Chromium is installed (apt-get install chromium)")

// Launch starts a Chromium, and returns its first tab. The caller must call end, which
// returns when the browser has ended. The error is ErrMissing if there is none.
func Launch(ctx context.Context, options ...chromedp.ExecAllocatorOption) (tab context.Context, end func(), err error) {
	path, err := find()
	if err != nil {
		return nil, nil, err
	}
	options = append(append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox), options...)
	allocated, endProcess := chromedp.NewExecAllocator(ctx, options...)
	tab, endTab := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // events newer than the library
	end = func() {
		_ = chromedp.Cancel(tab) // waits for the end of the browser
		endTab()
		endProcess()
	}
	if err := chromedp.Run(tab); err != nil {
		end()
		return nil, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return tab, end, nil
}

// find returns the path of the browser.
func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// profile is a directory for a browser, whose processes may still write there after
// its end.
func profile(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "mcplb-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(patience); os.RemoveAll(directory) != nil; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%s cannot be removed", directory)
				return
			}
		}
	})
	return directory
}

// Do runs actions in the browser. How long they take on a busy machine does not matter,
// only that they end.
func Do(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Evaluate returns what a script of the page results in. A promise is awaited.
func Evaluate[T any](t *testing.T, ctx context.Context, script string) (result T) {
	t.Helper()
	Do(t, ctx, "evaluating a script", chromedp.Evaluate(script, &result, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return result
}

// Show sets the theme, light or dark, and the width of the window in pixels. Windows below
// 500 pixels are those of a phone.
func Show(t *testing.T, ctx context.Context, theme string, width int64) {
	t.Helper()
	Do(t, ctx, "setting theme and width",
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
		emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500))
}

// Picture writes a screenshot, if MCPLB_SCREENSHOTS names a directory: of the whole page or,
// if that is very long, of what the window shows once selector is at its top.
func Picture(t *testing.T, ctx context.Context, name, selector string) {
	t.Helper()
	directory := os.Getenv("MCPLB_SCREENSHOTS")
	if directory == "" {
		return
	}
	var picture []byte
	take := chromedp.FullScreenshot(&picture, 100)
	if Evaluate[int](t, ctx, fmt.Sprintf(`document.querySelector(%q).scrollIntoView(), document.documentElement.scrollHeight`, selector)) > 3000 {
		take = chromedp.CaptureScreenshot(&picture)
	}
	Do(t, ctx, "taking a picture", take)
	if err := os.WriteFile(filepath.Join(directory, name+".png"), picture, 0o644); err != nil {
		t.Error(err)
	}
}

// Audit returns the serious and critical problems that axe-core finds in the page.
// MCPLB_AXE names its file axe.min.js; without it, the test is skipped.
func Audit(t *testing.T, ctx context.Context) []string {
	t.Helper()
	path := os.Getenv("MCPLB_AXE")
	if path == "" {
		t.Skip("MCPLB_AXE does not name axe-core's axe.min.js (npm install axe-core)")
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	Do(t, ctx, "loading axe-core", chromedp.Evaluate(string(script)+"\n;0", nil))
	found := Evaluate[[]struct{ ID, Impact, Help, Where string }](t, ctx, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help, Where: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " " + (n.any[0] || n.all[0] || n.none[0] || {message: ""}).message).join(" | ")})))`)
	var problems []string
	for _, f := range found {
		problems = append(problems, strings.TrimSpace(fmt.Sprintf("%s (%s): %s: %s", f.ID, f.Impact, f.Help, f.Where)))
	}
	return problems
}

// Visible returns how many elements of the page that match a selector are shown. It works
// without scripts of the page, too.
func Visible(t *testing.T, ctx context.Context, selector string) int {
	t.Helper()
	return Evaluate[int](t, ctx, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility()).length`, selector))
}
