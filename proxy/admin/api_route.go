package admin

import "net/http"

// RouteRequest is the body of POST /api/v1/route: a request, to find out which route
// it would take.
type RouteRequest struct {
	Frontend string   `json:"frontend,omitempty"` // "" = the only one of mode http, or the one that the URL's port names
	Method   string   `json:"method"`
	URL      string   `json:"url"`               // a URL, or a path and query
	Headers  []string `json:"headers,omitempty"` // each "Name: value"
	Source   string   `json:"source,omitempty"`  // the client's address; "" = 127.0.0.1
	Body     string   `json:"body,omitempty"`
}

// RouteAnswer is the response of POST /api/v1/route.
type RouteAnswer struct {
	Frontend string      `json:"frontend"`
	Outcome  string      `json:"outcome"` // forwarded, denied, refused, responded or redirected
	Status   int         `json:"status"`  // of the response, if it is generated; 0 = the server's
	Route    string      `json:"route"`   // its place in the file, such as "route[2] path /mcp"; "none" = the frontend's own keys
	Why      string      `json:"why"`
	Backend  string      `json:"backend"`  // "" unless it is forwarded
	Endpoint string      `json:"endpoint"` // "" unless it is forwarded
	Message  string      `json:"message"`  // what the request asks for by MCP, such as "tools/call echo"; "" = nothing
	Nearly   []RouteNear `json:"nearly"`   // routes that it did not take
}

// RouteNear is a route that a request almost takes.
type RouteNear struct {
	Route string `json:"route"`
	Why   string `json:"why"`
}

func (c *commands) route(_ string, r *http.Request) (any, error) {
	var asked RouteRequest
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	answer, err := c.control.Route(asked)
	if err != nil {
		return nil, err
	}
	answer.Nearly = present(answer.Nearly)
	return answer, nil
}
