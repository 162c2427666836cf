package admin

import (
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"mcplb/internal/browser"
	"mcplb/proxy/metrics"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// crowd returns a Source of a backend of n servers with names of 28 characters, large
// numbers, and every state.
func crowd(n int) *fixed {
	begin := time.Now().Add(-historySamples * historyInterval)
	calls := time.Duration(0)
	return edited(func(s *Snapshot) { // each time one interval later
		now := begin.Add(calls * historyInterval)
		calls++
		s.Time, s.Process.StartTime, s.Process.Reload.Time = now, now.Add(-75*time.Hour), begin
		s.Process.AccessLog.Error = ""
		s.Frontends[1].HTTP.Responses = map[string]uint64{"1xx": 3, "2xx": 49_000_000, "3xx": 12, "4xx": 90_123, "5xx": 1_234, "other": 1}
		s.RateLimit.Bans[0].Reason = "connection_rate"
		one := s.Backends[0].Servers[0]
		s.Backends[0].Servers = nil
		for i := range n {
			s.Backends[0].Servers = append(s.Backends[0].Servers, crowdServer(one, i, now, begin))
		}
	})
}

// crowdServer returns server i of a crowd.
func crowdServer(one Server, i int, now, begin time.Time) Server {
	one.Name = fmt.Sprintf("mcp-node-eu-central-1b-%05d", i)
	one.Addresses = map[string]string{"http": fmt.Sprintf("10.128.%d.%d:65000", i/250, i%250)}
	one.Since = begin
	one.Connections = Connections{Current: int64(20_000 + 37*i%911), Peak: 24_999, Total: 123_456_789, Limit: 25_000}
	one.Responses = map[string]uint64{"1xx": 0, "2xx": 123_456_789, "3xx": 12, "4xx": 98_765, "5xx": uint64(i % 7), "other": 0}
	one.Errors = map[string]uint64{"client_abort": uint64(12 * i), "abort": 3, "reset": uint64(i % 5), "connect_timeout": 0}
	var responses metrics.Histogram
	seconds := uint64(now.Sub(begin)/time.Second) + 1
	for j := range seconds / 3 {
		responses.Add(int64(200*time.Microsecond) + int64(i)*int64(j%7)*int64(3*time.Millisecond))
	}
	one.Response.Exact = &metrics.Latency{}
	one.Response.Exact.Add(&responses)
	one.MessagesIn, one.BytesIn, one.BytesOut = 1000*seconds, 1_234_567*seconds, 23_456_789*seconds
	switch i % 10 {
	case 2:
		one.State, one.Usable, one.Reason, one.Connections.Current = ServerDown, false, "L4CON connection refused", 0
		one.Check.Code, one.Check.Text, one.Check.Progress, one.Check.Failures = "L4CON", "connection refused", "1/2 up", 1234
		one.Downs, one.DowntimeSeconds, one.LastDown = 3, 4321, begin.Add(4*time.Minute)
		one.Since = one.LastDown
		if now.Before(one.LastDown) {
			one.State, one.LastDown = ServerUp, time.Time{}
		}
	case 3:
		one.Admin, one.Usable, one.AdminReason, one.AdminSince = AdminMaint, false, "kernel update, by 127.0.0.1:50000", begin
	case 7:
		one.Admin, one.Usable, one.AdminReason, one.AdminSince = AdminDrain, false, "from the stats page, by 127.0.0.1:50000", begin
	case 8:
		one.Suspect, one.Reason = true, "no answer for 4 s"
	}
	return one
}

// servePage serves the page of a source with a full history, and returns its URL.
func servePage(t *testing.T, source Source) string {
	t.Helper()
	history := NewHistory(source)
	for range historySamples {
		history.sample()
	}
	handler := NewAdminHandler(Options{Source: source, Control: &recorder{}, History: history})
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// misfits of the layout: what is wider than the page or its cell, and buttons that are cut off
// or cover something.
const layoutScript = `(() => {
	const wrong = [], root = document.documentElement;
	if (root.scrollWidth > innerWidth) wrong.push("the page is " + root.scrollWidth + " pixels wide");
	for (const cell of document.querySelectorAll("th, td, .finding, figure, .tiles > div")) {
		if (cell.offsetParent && cell.scrollWidth > cell.clientWidth + 1 && getComputedStyle(cell).position !== "absolute")
			wrong.push("cut off: " + cell.outerHTML.slice(0, 90) + " " + cell.scrollWidth + " > " + cell.clientWidth);
	}
	for (const button of document.querySelectorAll("button[data-do]")) {
		const b = button.getBoundingClientRect(), cell = button.closest("td").getBoundingClientRect();
		if (b.width < 24 || b.height < 24) wrong.push("small: " + button.textContent + " " + b.width + "x" + b.height);
		if (b.left < cell.left - 1 || b.right > cell.right + 1 || b.right > innerWidth) wrong.push("outside: " + button.textContent);
	}
	return wrong.slice(0, 8);
})()`

// The page is readable in every size: with 4, 40 and 200 servers of long names, in both themes,
// on screens of 1440, 1280 and 390 pixels, and between: nothing is cut off, no button covers a
// column, and axe-core finds nothing serious.
func TestPageLayout(t *testing.T) {
	ctx := browser.Start(t)
	sizes := []int{4, 40, 200}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		browser.Do(t, ctx, "opening the page", chromedp.Navigate(servePage(t, crowd(n))+"/"))
		themes := []string{"light", "dark"}
		if os.Getenv("MCPLB_SCREENSHOTS") == "" {
			themes = themes[:1] // a theme changes colors, not the layout
		}
		for _, theme := range themes {
			for _, width := range []int64{1440, 1280, 1201, 1000, 390} {
				browser.Show(t, ctx, theme, width)
				for _, wrong := range browser.Evaluate[[]string](t, ctx, layoutScript) {
					t.Errorf("%d servers, %s, %d pixels: %s", n, theme, width, wrong)
				}
				browser.Picture(t, ctx, fmt.Sprintf("page-%d-%s-%d", n, theme, width), "#servers")
			}
		}
	}
}

// No serious barrier for users of screen readers or keyboards, in either theme and on a phone.
func TestPageAccessibility(t *testing.T) {
	ctx := browser.Start(t)
	browser.Do(t, ctx, "opening the page", chromedp.Navigate(servePage(t, crowd(10))+"/"))
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1440, 390} {
			browser.Show(t, ctx, theme, width)
			browser.Do(t, ctx, "opening everything", chromedp.Evaluate(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`, nil))
			for _, problem := range browser.Audit(t, ctx) {
				t.Errorf("%s, %d pixels: %s", theme, width, problem)
			}
		}
	}
	browser.Do(t, ctx, "opening a dialog", chromedp.Click(`button[data-do=drain]`, chromedp.ByQuery), chromedp.WaitVisible("dialog[open]", chromedp.ByQuery))
	for _, problem := range browser.Audit(t, ctx) {
		t.Errorf("with a dialog: %s", problem)
	}
}

// Without JavaScript, tables, plots and the form are there; commands are not, and the page says
// how to do without.
func TestPageWithoutJavaScript(t *testing.T) {
	ctx := browser.Start(t)
	url := servePage(t, crowd(10))
	browser.Do(t, ctx, "turning scripts off", emulation.SetScriptExecutionDisabled(true))
	browser.Do(t, ctx, "opening the page", chromedp.Navigate(url+"/"), chromedp.WaitVisible(".servers", chromedp.ByQuery))
	if n := browser.Visible(t, ctx, ".servers tbody tr"); n != 10 {
		t.Errorf("%d servers", n)
	}
	if n := browser.Visible(t, ctx, ".commands button"); n != 0 {
		t.Errorf("%d buttons that do nothing", n)
	}
	if n := browser.Visible(t, ctx, ".plot path"); n == 0 {
		t.Error("no plots")
	}
	browser.Do(t, ctx, "choosing problems", chromedp.Click(`input[name=only]`, chromedp.ByQuery), chromedp.Submit(`#choice`, chromedp.ByQuery), chromedp.WaitVisible(`#choice a`, chromedp.ByQuery))
	if n := browser.Visible(t, ctx, ".servers tbody tr"); n != 2 {
		t.Errorf("%d servers with problems, want the one that is down and the one that is late", n)
	}
}
