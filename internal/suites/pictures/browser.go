package main

import (
	"context"
	"fmt"
	"time"

	"mcplb/internal/browser"

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
	tab, end, err := browser.Launch(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var picture []byte
	err = chromedp.Run(tab,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}),
		emulation.SetDeviceMetricsOverride(width, height, 1, false),
		chromedp.Navigate(address), chromedp.WaitVisible("main, body"), chromedp.Sleep(settling),
		chromedp.FullScreenshot(&picture, 100))
	if err != nil {
		return nil, fmt.Errorf("taking a picture: %w", err)
	}
	return picture, nil
}
