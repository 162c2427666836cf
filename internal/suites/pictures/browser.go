package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The window that the picture shows.
const (
	width  = 1440
	height = 900
)

// settling is how long the page updates itself before the picture.
const settling = 5 * time.Second

// screenshot returns a picture of the whole page at an address, as PNG.
func screenshot(ctx context.Context, address string) ([]byte, error) {
	path, err := chromium()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	allocated, endProcess := chromedp.NewExecAllocator(ctx, options...)
	defer endProcess()
	tab, end := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // events newer than the library
	defer end()
	defer func() { _ = chromedp.Cancel(tab) }() // waits for the end of the browser
	var picture []byte
	err = chromedp.Run(tab,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}),
		emulation.SetDeviceMetricsOverride(width, height, 1, false),
		chromedp.Navigate(address), chromedp.WaitVisible("main, body"), chromedp.Sleep(settling),
		chromedp.FullScreenshot(&picture, 100))
	if err != nil {
		return nil, fmt.Errorf("taking a picture with %s: %w", path, err)
	}
	return picture, nil
}

// chromium returns the path of the browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium is installed: apt-get install chromium")
}
