package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mcplb/proxy/mcp"
)

// taskCaller calls a cluster without a session, with a new connection for each request.
type taskCaller struct {
	http.Client
	balancers []*balancer
}

func newTaskCaller(balancers ...*balancer) *taskCaller {
	return &taskCaller{http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}, balancers}
}

// taskReply is what a test needs of a message.
type taskReply struct {
	Method string `json:"method"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Result taskShown `json:"result"`
	Params taskShown `json:"params"`
}

type taskShown struct {
	Type          string `json:"resultType"`
	TaskID        string `json:"taskId"`
	Status        string `json:"status"`
	Notifications struct {
		TaskIDs []string `json:"taskIds"`
	} `json:"notifications"`
	Result struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"result"`
}

// post sends a request over balancer number n.
func (c *taskCaller) post(n int, method, name string, params map[string]any) (*http.Response, error) {
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": map[string]any{"extensions": map[string]any{"io.modelcontextprotocol/tasks": map[string]any{}}},
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest("POST", "http://"+c.balancers[n%len(c.balancers)].frontend+"/mcp", strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method},
	}
	if name != "" {
		r.Header.Set("Mcp-Name", name)
	}
	return c.Do(r)
}

// call sends a request over balancer number n and returns its answer.
func (c *taskCaller) call(n int, method, name string, params map[string]any) (status int, reply taskReply, err error) {
	r, err := c.post(n, method, name, params)
	if err != nil {
		return 0, reply, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, reply, err
	}
	if _, data, ok := strings.Cut(string(text), "data: "); ok {
		text = []byte(data)
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return 0, reply, fmt.Errorf("%s: %d %q: %w", method, r.StatusCode, text, err)
	}
	return r.StatusCode, reply, nil
}

// ask is call for a request for a task, which must succeed.
func (c *taskCaller) ask(n int, method, id string, params map[string]any) (taskShown, error) {
	params["taskId"] = id
	status, reply, err := c.call(n, method, id, params)
	if err == nil && (status != 200 || reply.Error != nil) {
		err = fmt.Errorf("%s of %s: %d %+v", method, id, status, reply.Error)
	}
	return reply.Result, err
}

// create creates a task over balancer number n, one that waits for an answer or one that
// runs, and returns its id.
func (c *taskCaller) create(n int, asks bool) (string, error) {
	tool, arguments := "slow", map[string]any{"seconds": 3600}
	if asks {
		tool, arguments = "ask", map[string]any{"question": "why?"}
	}
	status, reply, err := c.call(n, "tools/call", tool, map[string]any{"name": tool, "arguments": arguments})
	if err == nil && (status != 200 || reply.Result.Type != "task" || len(reply.Result.TaskID) < 20) {
		err = fmt.Errorf("%d %+v", status, reply)
	}
	return reply.Result.TaskID, err
}

// startTaskCluster starts four nodes, balanced in turn, and a second balancer for them
// that has them in another order.
func startTaskCluster(t *testing.T) (*cluster, *balancer) {
	t.Helper()
	c := startClusterOf(t, "http", func(s *setup) {
		s.mode, s.backend, s.ratelimit = "http", "balance = 'roundrobin'", "connection_rate = 0\nmessage_rate = 0"
	})
	s := newSetup(t)
	s.mode, s.backend, s.ratelimit = "http", "balance = 'roundrobin'", "connection_rate = 0\nmessage_rate = 0"
	for _, n := range slices.Backward(c.nodes) {
		s.tables += fmt.Sprintf("[[backend.nodes.server]]\nname = '%s'\nhttp = '%s'\n", n.name, n.address)
	}
	return c, startBalancer(t, s)
}

// 200 tasks that four nodes hold in memory, balanced in turn, are polled, updated and
// cancelled from other connections, also over a second balancer: all requests reach the
// node of their task, and ids look the same everywhere.
func TestTasksReachTheirNodes(t *testing.T) {
	t.Parallel()
	const tasks = 200
	c, second := startTaskCluster(t)
	caller := newTaskCaller(c.balancer, second)
	ids := make([]string, tasks)
	forEach(t, tasks, func(i int) (err error) {
		ids[i], err = caller.create(0, i%2 == 0)
		return err
	})
	perNode := map[string]int{}
	for _, id := range ids {
		perNode[id[len(id)-9:]]++
	}
	if len(perNode) != 4 {
		t.Errorf("the tasks are on these nodes: %v", perNode)
	}
	forEach(t, tasks, func(i int) error { return caller.live(i, ids[i], i%2 == 0) })
	status := c.status(t).Frontends[0]
	if status.HTTP.TasksOpened != tasks || status.HTTP.TaskRequests == 0 {
		t.Errorf("%d tasks and %d requests for tasks are counted", status.HTTP.TasksOpened, status.HTTP.TaskRequests)
	}
}

// live polls a task, brings it to its end, and polls it again.
func (c *taskCaller) live(n int, id string, asks bool) error {
	steps := []struct {
		method string
		params map[string]any
		status string
	}{
		{"tasks/get", map[string]any{}, "working"},
		{"tasks/cancel", map[string]any{}, ""},
		{"tasks/get", map[string]any{}, "cancelled"},
	}
	if asks {
		steps[0].status, steps[1].method, steps[2].status = "input_required", "tasks/update", "completed"
		steps[1].params["inputResponses"] = map[string]any{"answer": map[string]any{"action": "accept", "content": map[string]any{"answer": id}}}
	}
	for i, step := range append(steps, steps[2]) {
		shown, err := c.ask(n+i, step.method, id, step.params)
		switch {
		case err != nil:
			return err
		case shown.Status != step.status || step.status != "" && shown.TaskID != id:
			return fmt.Errorf("%s of %s: %+v, want %s", step.method, id, shown, step.status)
		case shown.Status == "completed" && shown.Result.Content[0].Text != id:
			return fmt.Errorf("the answer %q has changed: %+v", id, shown)
		}
	}
	return nil
}

// Who subscribes to tasks is told of them by the ids that it knows; tasks of several nodes
// need several subscriptions. A task whose node has died gets an answer that says so, and
// the others are not affected.
func TestTaskSubscriptions(t *testing.T) {
	t.Parallel()
	c, second := startTaskCluster(t)
	caller := newTaskCaller(second, c.balancer)
	byNode := map[string]string{} // a task of each node
	for i := 0; len(byNode) < 4; i++ {
		id, err := caller.create(i, false)
		if err != nil {
			t.Fatal(err)
		}
		byNode[id[len(id)-9:]] = id
	}
	var ids []string
	for _, id := range byNode {
		ids = append(ids, id)
	}
	listen := func(ids ...string) map[string]any {
		return map[string]any{"notifications": map[string]any{"taskIds": ids}}
	}
	status, reply, err := caller.call(0, "subscriptions/listen", "", listen(ids...))
	if err != nil || status != 400 || reply.Error == nil || !strings.Contains(reply.Error.Message, "several servers") {
		t.Errorf("tasks of several nodes: %d %+v %v", status, reply.Error, err)
	}
	for i, id := range ids[:3] {
		r, err := caller.post(i, "subscriptions/listen", "", listen(id))
		if err != nil {
			t.Fatal(err)
		}
		stream := bufio.NewReader(r.Body)
		if got := nextReply(t, stream).Params.Notifications.TaskIDs; !slices.Equal(got, []string{id}) {
			t.Errorf("acknowledged are %q, want %q", got, id)
		}
		for _, want := range []string{"working", "cancelled"} {
			if got := nextReply(t, stream); got.Method != "notifications/tasks" || got.Params.TaskID != id || got.Params.Status != want {
				t.Errorf("notified of %+v, want %s of %s", got, want, id)
			}
			if _, err := caller.ask(i+1, "tasks/cancel", id, map[string]any{}); err != nil {
				t.Error(err)
			}
		}
		r.Body.Close()
	}
	for _, n := range c.nodes {
		if strings.HasSuffix(ids[3], mcp.TagOf(n.name).String()) {
			n.signal(t, syscall.SIGKILL)
		}
	}
	eventually(t, func() error {
		status, reply, err := caller.call(0, "tasks/get", ids[3], map[string]any{"taskId": ids[3]})
		if err != nil || status != 503 || reply.Error == nil || !strings.Contains(reply.Error.Message, "the server of this task is down") {
			return fmt.Errorf("%d %+v %w", status, reply.Error, err)
		}
		return nil
	})
	if shown, err := caller.ask(0, "tasks/get", ids[0], map[string]any{}); err != nil || shown.Status != "cancelled" {
		t.Errorf("%+v %v", shown, err)
	}
}

// nextReply returns the next message of an event stream.
func nextReply(t *testing.T, stream *bufio.Reader) (reply taskReply) {
	t.Helper()
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &reply); err != nil {
				t.Fatal(err)
			}
			return reply
		}
	}
}
