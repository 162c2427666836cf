package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

func denyAction(g *group, l *line, args []string) (step, error) {
	status, more := "403", []string{}
	for i := 0; i < len(args); i++ {
		if (args[i] == "deny_status" || args[i] == "status") && i+1 < len(args) {
			status = args[i+1]
			i++
			continue
		}
		more = append(more, args[i])
	}
	n, err := strconv.Atoi(status)
	if err != nil || n < 200 || n > 599 {
		return step{}, fmt.Errorf("%q is no status", status)
	}
	if n != 403 && len(more) > 0 && more[0] != "default-errorfiles" {
		return returnAction(g, l, append([]string{"status", status}, more...))
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		if n == 403 {
			t.Set("deny", true, l.Directive)
		} else if !g.respondPage(t, g.ownerOf(l), status) {
			t.Set("respond", lb.Inline{{Key: "status", Value: n}, {Key: "body", Value: ""}}, l.Directive)
		}
		l.Translated()
		if l.arg(1) == "tarpit" || l.arg(1) == "silent-drop" || l.arg(1) == "reject" {
			t.Differ(l.Directive, "", "%s: answered %d at once", l.arg(1), n)
		}
		if n == 403 && len(more) > 0 {
			t.Differ(l.Directive, "deny", "the body and headers of a denial are mcplb's, or error_pages")
		}
		return nil
	}}, nil
}

func redirectAction(g *group, l *line, args []string) (step, error) {
	to, code, path, kind := "", 302, "{uri}", ""
	for i := 0; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		switch args[i] {
		case "scheme", "location", "prefix":
			kind, to = args[i], value
			i++
		case "code":
			n, err := number(value)
			if err != nil {
				return step{}, err
			}
			code = n
			i++
		case "drop-query":
			path = "{path}"
		case "ignore-empty":
		default:
			return step{}, fmt.Errorf("mcplb's redirects have no %q", args[i])
		}
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		target, err := g.format(l, t, to)
		if err != nil {
			return err
		}
		path := path
		if kind != "location" {
			if path, err = changeOf(t).named(path); err != nil {
				return err
			}
		}
		switch kind {
		case "scheme":
			target += "://" + hostNow(t) + path
		case "prefix":
			target = strings.TrimSuffix(target, "/") + path
		}
		t.Set("redirect", lb.Inline{{Key: "to", Value: target}, {Key: "status", Value: code}}, l.Directive)
		return nil
	}}, nil
}

func returnAction(g *group, l *line, args []string) (step, error) {
	status, kind, body := 200, "", ""
	var page *response
	usual := slices.Contains(args, "default-errorfiles")
	args = slices.DeleteFunc(slices.Clone(args), func(w string) bool { return w == "default-errorfiles" })
	var headers [][2]string
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		switch args[i] {
		case "status":
			n, err := number(value)
			if err != nil {
				return step{}, err
			}
			status = n
		case "content-type":
			kind = value
		case "string", "lf-string":
			if body = value; args[i] == "lf-string" && strings.Contains(value, "%") {
				return step{}, errors.New("the body of mcplb's responses is fixed")
			}
		case "file":
			text, err := g.env.ReadFile(value)
			if err != nil {
				return step{}, fmt.Errorf("the file of its body cannot be read: %w", err)
			}
			body = string(text)
		case "errorfile":
			r, err := g.readPage(value, strconv.Itoa(status))
			if err != nil {
				return step{}, fmt.Errorf("the file of its body cannot be used: %w", err)
			}
			page = &r
		case "hdr":
			if i+2 >= len(args) {
				return step{}, errors.New("a header has a name and a value")
			}
			headers = append(headers, [2]string{value, args[i+2]})
			i++
		default:
			return step{}, fmt.Errorf("mcplb's responses have no %q", args[i])
		}
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		respond := lb.Inline{{Key: "status", Value: status}}
		if body != "" {
			respond = append(respond, lb.Pair{Key: "body", Value: body})
		}
		if kind != "" {
			respond = append(respond, lb.Pair{Key: "content_type", Value: kind})
		}
		switch {
		case page != nil:
			page.write(t, l)
		case !usual || !g.respondPage(t, g.ownerOf(l), strconv.Itoa(status)):
			t.Set("respond", respond, l.Directive)
		}
		l.Translated()
		for _, h := range headers {
			value, err := g.format(l, t, h[1])
			if err != nil {
				return err
			}
			setInline(t, "set_response_headers", h[0], value, l)
		}
		return nil
	}}, nil
}
