package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// taskPost is a request that declares that its client can handle tasks.
func taskPost(method, name, params string) *http.Request {
	req := post(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"%s","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}},%s}}`, method, params))
	req.Header.Set("MCP-Protocol-Version", statelessSince)
	req.Header.Set("Mcp-Method", method)
	req.Header.Set("Mcp-Name", name)
	return req
}

// taskAnswer is what a test needs of a message.
type taskAnswer struct {
	Error  struct{ Code int }
	Result struct {
		ResultType string
		taskState
	}
	Params struct {
		taskState
		Notifications struct{ TaskIDs []string }
	}
}

// askTask sends a request and returns its answer, in JSON or as an event.
func askTask(t *testing.T, e *httpEndpoint, req *http.Request) (answer taskAnswer) {
	t.Helper()
	r := do(t, e, req)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, data, ok := strings.Cut(string(text), "data: "); ok {
		text = []byte(data)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return answer
}

// taskOf creates a task by a call of a tool.
func taskOf(t *testing.T, e *httpEndpoint, tool, arguments string) string {
	t.Helper()
	answer := askTask(t, e, taskPost("tools/call", tool, `"name":"`+tool+`","arguments":`+arguments))
	if answer.Result.ResultType != "task" || answer.Result.ID == "" {
		t.Fatalf("%+v", answer)
	}
	return answer.Result.ID
}

// statusOf is a task's state, as tasks/get says.
func statusOf(t *testing.T, e *httpEndpoint, id string) taskState {
	t.Helper()
	return askTask(t, e, taskPost("tasks/get", id, `"taskId":"`+id+`"`)).Result.taskState
}

// If it fails, nothing shows that a balancer leads requests to the node of their task.
func TestTasks(t *testing.T) {
	e := startHTTP(t, httpOptions{http: "127.0.0.1:0"})
	cancelled := taskOf(t, e, "slow", `{"seconds":3600}`)
	if s := statusOf(t, e, cancelled); s.Status != taskWorking || s.ID != cancelled {
		t.Errorf("%+v", s)
	}
	askTask(t, e, taskPost("tasks/cancel", cancelled, `"taskId":"`+cancelled+`"`))
	if s := statusOf(t, e, cancelled); s.Status != taskCancelled {
		t.Errorf("%+v", s)
	}
	asking := taskOf(t, e, "ask", `{"question":"why?"}`)
	if s := statusOf(t, e, asking); s.Status != taskInput || s.Requests["answer"] == nil {
		t.Errorf("%+v", s)
	}
	askTask(t, e, taskPost("tasks/update", asking, `"taskId":"`+asking+`","inputResponses":{"answer":{"action":"accept","content":{"answer":"so"}}}`))
	if s := statusOf(t, e, asking); s.Status != taskCompleted || !strings.Contains(fmt.Sprint(s.Result), "so") {
		t.Errorf("%+v", s)
	}
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		if answer := askTask(t, e, taskPost(method, "none", `"taskId":"none"`)); answer.Error.Code != -32602 {
			t.Errorf("%s of an unknown task: %+v", method, answer)
		}
	}
	if answer := askTask(t, e, taskPost("tasks/get", "other", `"taskId":"`+asking+`"`)); answer.Error.Code != codeHeaderMismatch {
		t.Errorf("Mcp-Name that contradicts the body: %+v", answer)
	}
	if answer := askTask(t, e, taskPost("tasks/get", "=?base64?bm9uZQ==?=", `"taskId":"none"`)); answer.Error.Code != -32602 {
		t.Errorf("Mcp-Name in base64: %+v", answer)
	}
}

// A subscription tells of each change of a task, and ends with the last.
func TestTaskSubscription(t *testing.T) {
	e := startHTTP(t, httpOptions{http: "127.0.0.1:0"})
	first, second := taskOf(t, e, "slow", `{"seconds":3600}`), taskOf(t, e, "slow", `{"seconds":0.01}`)
	r := do(t, e, taskPost("subscriptions/listen", "", fmt.Sprintf(`"notifications":{"taskIds":["%s","none","%s"]}`, first, second)))
	defer r.Body.Close()
	seen := map[string]string{}
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var message taskAnswer
		if err := json.Unmarshal([]byte(data), &message); err != nil {
			t.Fatal(err)
		}
		if ids := message.Params.Notifications.TaskIDs; ids != nil && len(ids) != 2 {
			t.Errorf("acknowledged are %q", ids)
		}
		seen[message.Params.ID] = message.Params.Status
		if message.Params.ID == second && message.Params.Status == taskCompleted {
			askTask(t, e, taskPost("tasks/cancel", first, `"taskId":"`+first+`"`))
		}
	}
	if seen[first] != taskCancelled || seen[second] != taskCompleted {
		t.Errorf("%v", seen)
	}
}

// A client that does not declare the extension gets no task.
func TestNoTaskUnlessDeclared(t *testing.T) {
	e := startHTTP(t, httpOptions{http: "127.0.0.1:0"})
	req := post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"seconds":0},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"}}}}`)
	req.Header.Set("MCP-Protocol-Version", statelessSince)
	req.Header.Set("Mcp-Method", "tools/call")
	req.Header.Set("Mcp-Name", "slow")
	if answer := askTask(t, e, req); answer.Result.ResultType == "task" || answer.Error.Code != 0 {
		t.Errorf("%+v", answer)
	}
}

// do sends a request over a new connection and returns the head of its answer.
func do(t *testing.T, e *httpEndpoint, req *http.Request) *http.Response {
	t.Helper()
	return begin(t, dial(t, e.address("http")), req)
}
