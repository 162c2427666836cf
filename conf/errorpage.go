package conf

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrorPage is an entry of [frontend.NAME.error_pages]: the body of the responses
// that the balancer generates with a status, or with any other of a class. It has
// the file's contents as of when the configuration was read.
type ErrorPage struct {
	Status      int // 400 to 599, or a class: 4 or 5
	File        string
	ContentType string
	Body        []byte
}

// MostPage is the largest error page, in bytes: a connection keeps it in memory
// while its client does not read it.
const MostPage = 64 * kilobyte

// key is the page's key in the file.
func (p *ErrorPage) key() string {
	if p.Status < 10 {
		return strconv.Itoa(p.Status) + "xx"
	}
	return strconv.Itoa(p.Status)
}

// pageKey is a status or a class of them.
var pageKey = regexp.MustCompile(`^([45])(xx|\d\d)$`)

const wantPages = `a table of files, such as { "503" = "/etc/mcplb/503.html", "5xx" = "/etc/mcplb/error.html" }`

// errorPages is the type of error_pages. A file called "" is none.
var errorPages = valueType[[]ErrorPage]{
	read: func(raw any, fail failure) (pages []ErrorPage) {
		table, ok := raw.(map[string]any)
		if !ok {
			fail("", mustBe(wantPages, raw).Error())
		}
		for name, value := range table {
			if page, ok := readPage(name, value, func(reason string) { fail("."+join("", name), reason) }); ok {
				pages = append(pages, page)
			}
		}
		slices.SortFunc(pages, func(a, b ErrorPage) int { return cmp.Compare(a.key(), b.key()) })
		return pages
	},
	show: func(pages []ErrorPage) string {
		shown := make([]string, len(pages))
		for i, p := range pages {
			shown[i] = strconv.Quote(p.key()) + " = " + strconv.Quote(p.File)
		}
		return strings.Replace("{ "+strings.Join(shown, ", ")+" }", "{  }", "{}", 1)
	},
	schema: node{"type": "object", "propertyNames": node{"pattern": pageKey.String()}, "additionalProperties": node{"type": "string"}},
}

// readPage reads one entry; ok is false where there is none.
func readPage(name string, value any, fail func(reason string)) (page ErrorPage, ok bool) {
	if !pageKey.MatchString(name) {
		fail(`must be a status from 400 to 599, or a class: "4xx" or "5xx"`)
		return page, false
	}
	page.Status, _ = strconv.Atoi(strings.TrimSuffix(name, "xx"))
	page.File = text.read(value, func(_, reason string) { fail(reason) })
	return page, page.File != ""
}

// loadPages reads the files of a frontend's error pages.
func loadPages(pages []ErrorPage, path string, d *decoder) {
	for i := range pages {
		page := &pages[i]
		body, err := ReadFile(page.File, MostPage)
		if err != nil {
			d.fail(join(path, page.key()), "%v", err)
			continue
		}
		body = withoutHead(body)
		page.Body, page.ContentType = body, pageType(page.File, body)
	}
}

// withoutHead returns the body of a file that is a complete HTTP response, as the
// errorfile of HAProxy is, and any other file as it is. Line ends are LF or CRLF.
func withoutHead(page []byte) []byte {
	if !bytes.HasPrefix(page, []byte("HTTP/1.")) {
		return page
	}
	_, body, found := bytes.Cut(bytes.ReplaceAll(page, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	if !found {
		return nil
	}
	return body
}

// pageTypes are the media types of files, by their ending.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".xhtml": "application/xhtml+xml",
	".txt": "text/plain; charset=utf-8", ".json": "application/json", ".xml": "application/xml",
}

// pageType returns the media type of a page, by its file's ending or else by what it
// begins with.
func pageType(file string, body []byte) string {
	if known := pageTypes[strings.ToLower(filepath.Ext(file))]; known != "" {
		return known
	}
	switch body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte(byteOrderMark))); {
	case bytes.HasPrefix(body, []byte("<?xml")):
		return pageTypes[".xml"]
	case bytes.HasPrefix(body, []byte("<")):
		return pageTypes[".html"]
	case json.Valid(body):
		return pageTypes[".json"]
	}
	return pageTypes[".txt"]
}

// diffPages returns the pages whose files have the same names but other contents.
func diffPages(path string, before, after []ErrorPage) (changes []KeyChange) {
	if errorPages.show(before) != errorPages.show(after) {
		return nil
	}
	for i := range after {
		changes = append(changes, change(join(path, after[i].key()), before[i].summary(), after[i].summary())...)
	}
	return changes
}

// summary identifies a page in a log line: its size, and part of its SHA-256 hash.
func (p *ErrorPage) summary() string {
	hash := sha256.Sum256(p.Body)
	return fmt.Sprintf("(%d bytes, %.4x)", len(p.Body), hash[:])
}
