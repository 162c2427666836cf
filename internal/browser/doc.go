// Package browser starts a Chromium for tests of pages.
//
//	ctx := browser.Start(t)                    // skips the test without Chromium
//	browser.Do(t, ctx, "opening the page", chromedp.Navigate(url))
//	problems := browser.Audit(t, ctx)          // axe-core
//
// It guarantees that the browser and its files are gone when the test ends, and that no step
// waits for ever. It knows no page.
package browser
