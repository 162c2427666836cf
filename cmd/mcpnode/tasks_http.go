package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// tasksExtension is the name by which clients say that they can handle tasks.
const tasksExtension = "io.modelcontextprotocol/tasks"

// codeHeaderMismatch is the error for headers that contradict the body (MCP 2026-07-28).
const codeHeaderMismatch = -32020

// taskHandler serves what the SDK does not know: tasks (SEP-2663), in the era without
// sessions. For clients that declare the extension, a call of the tool slow is a task at
// once, and so is one of ask, which the client answers by tasks/update. Everything else
// goes to the next handler.
type taskHandler struct {
	tasks *taskStore
	next  http.Handler
}

// taskMessage is what a taskHandler needs of a request.
type taskMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string `json:"name"`
		Arguments struct {
			slowArguments
			askArguments
		} `json:"arguments"`
		TaskID        string `json:"taskId"`
		Notifications struct {
			TaskIDs []string `json:"taskIds"`
		} `json:"notifications"`
		Responses map[string]struct {
			Content map[string]any `json:"content"`
		} `json:"inputResponses"`
		Meta struct {
			Capabilities struct {
				Extensions map[string]any `json:"extensions"`
			} `json:"io.modelcontextprotocol/clientCapabilities"`
		} `json:"_meta"`
	} `json:"params"`
}

// declares reports whether the client can handle tasks.
func (m *taskMessage) declares() bool {
	_, ok := m.Params.Meta.Capabilities.Extensions[tasksExtension]
	return ok
}

func (h *taskHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxMessage))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var m taskMessage
	if req.Method != http.MethodPost || json.Unmarshal(body, &m) != nil || !h.handle(w, req, &m) {
		h.next.ServeHTTP(w, req)
	}
}

// handle serves a request that has to do with tasks, and reports whether it has.
func (h *taskHandler) handle(w http.ResponseWriter, req *http.Request, m *taskMessage) bool {
	switch {
	case m.Method == "tools/call" && m.declares() && (m.Params.Name == "slow" || m.Params.Name == "ask"):
		h.create(w, m)
	case strings.HasPrefix(m.Method, "tasks/"):
		if method := req.Header.Get("Mcp-Method"); method != m.Method || headerName(req) != m.Params.TaskID {
			fail(w, http.StatusBadRequest, m, codeHeaderMismatch, fmt.Sprintf("Mcp-Method %q and Mcp-Name %q contradict the body: %q, %q", method, headerName(req), m.Method, m.Params.TaskID))
			return true
		}
		h.serve(w, m)
	case m.Method == "subscriptions/listen" && len(m.Params.Notifications.TaskIDs) > 0:
		h.listen(w, req, m)
	default:
		return false
	}
	return true
}

// headerName is the decoded value of Mcp-Name.
func headerName(req *http.Request) string {
	value := req.Header.Get("Mcp-Name")
	encoded, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value
	}
	name, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "?="))
	if err != nil {
		return value
	}
	return string(name)
}

// create creates a task, and answers in an event stream, as the SDK does.
func (h *taskHandler) create(w http.ResponseWriter, m *taskMessage) {
	args := &m.Params.Arguments
	if !(args.Seconds >= 0 && args.Seconds <= maxSlowSeconds) {
		fail(w, http.StatusOK, m, jsonrpc.CodeInvalidParams, fmt.Sprintf("seconds must be 0 to %d", maxSlowSeconds))
		return
	}
	question := ""
	if m.Params.Name == "ask" {
		question = args.Question
	}
	state, err := h.tasks.create(time.Duration(args.Seconds*float64(time.Second)), question)
	if err != nil {
		fail(w, http.StatusOK, m, jsonrpc.CodeInternalError, err.Error())
		return
	}
	event(w, result(m, "task", state))
}

// serve serves tasks/get, tasks/update and tasks/cancel.
func (h *taskHandler) serve(w http.ResponseWriter, m *taskMessage) {
	id := m.Params.TaskID
	var state any = struct{}{}
	known := false
	switch m.Method {
	case "tasks/get":
		state, _, known = h.tasks.get(id)
	case "tasks/cancel":
		known = h.tasks.cancel(id)
	case "tasks/update":
		text, _ := m.Params.Responses["answer"].Content["answer"].(string)
		known = h.tasks.answer(id, text)
	default:
		fail(w, http.StatusNotFound, m, jsonrpc.CodeMethodNotFound, "unknown method "+m.Method)
		return
	}
	if !known {
		fail(w, http.StatusOK, m, jsonrpc.CodeInvalidParams, "task not found: "+id)
		return
	}
	write(w, http.StatusOK, result(m, "complete", state))
}

// listen streams the states of tasks until all have ended, or the client goes.
func (h *taskHandler) listen(w http.ResponseWriter, req *http.Request, m *taskMessage) {
	if !m.declares() {
		fail(w, http.StatusBadRequest, m, -32003, "missing required client capability "+tasksExtension)
		return
	}
	meta := map[string]any{"io.modelcontextprotocol/subscriptionId": m.ID}
	known := []string{}
	for _, id := range m.Params.Notifications.TaskIDs {
		if _, _, ok := h.tasks.get(id); ok {
			known = append(known, id)
		}
	}
	event(w, map[string]any{
		"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
		"params": map[string]any{"_meta": meta, "notifications": map[string]any{"taskIds": known}},
	})
	states := make(chan taskState)
	for _, id := range known {
		go h.follow(req.Context(), id, states)
	}
	for left := len(known); left > 0; {
		select {
		case state := <-states:
			params := fields(state)
			params["_meta"] = meta
			event(w, map[string]any{"jsonrpc": "2.0", "method": "notifications/tasks", "params": params})
			if state.ended() {
				left--
			}
		case <-req.Context().Done():
			return
		}
	}
	event(w, result(m, "complete", struct{}{}))
}

// follow sends the states of a task, up to the final one. It ends with ctx.
func (h *taskHandler) follow(ctx context.Context, id string, to chan<- taskState) {
	for {
		state, changed, ok := h.tasks.get(id)
		if !ok {
			return
		}
		select {
		case to <- state:
		case <-ctx.Done():
			return
		}
		if state.ended() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// fields are the members of a state.
func fields(state any) (all map[string]any) {
	encoded, err := json.Marshal(state)
	if err == nil {
		_ = json.Unmarshal(encoded, &all)
	}
	return all
}

// result is the answer to a request: a state, and what kind of result it is.
func result(m *taskMessage, kind string, state any) map[string]any {
	all := fields(state)
	all["resultType"] = kind
	return map[string]any{"jsonrpc": "2.0", "id": m.ID, "result": all}
}

// fail answers a request with an error.
func fail(w http.ResponseWriter, status int, m *taskMessage, code int, message string) {
	write(w, status, map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": map[string]any{"code": code, "message": message}})
}

// write answers in JSON. That the client has gone is seen elsewhere.
func write(w http.ResponseWriter, status int, message map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(message)
}

// event sends a message in an event stream.
func event(w http.ResponseWriter, message map[string]any) {
	w.Header().Set("Content-Type", "text/event-stream")
	encoded, err := json.Marshal(message)
	if err == nil {
		_, _ = fmt.Fprintf(w, "event: message\ndata: %s\n\n", encoded)
		_ = http.NewResponseController(w).Flush()
	}
}
