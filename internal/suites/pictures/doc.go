// Pictures takes the screenshot of the stats page for the documents:
//
//	make pictures
//	go run ./internal/suites/pictures -bin bin -o docs/images/page.png
//
// It starts a cluster with clients on loopback addresses of its own, kills a node and
// starts it again, drains another, and takes a picture of the page in Chromium, which
// must be installed: in the light theme, 1,440 pixels wide. All processes have ended
// when it returns.
package main
