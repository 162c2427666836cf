package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"
)

const (
	// taskTTL is how long a task is known after its last change.
	taskTTL = time.Hour
	// maxTasks bounds the tasks of a node.
	maxTasks = 10_000
	// taskPoll is how often clients should ask.
	taskPoll = 200 * time.Millisecond
)

// The states of a task.
const (
	taskWorking   = "working"
	taskInput     = "input_required"
	taskCompleted = "completed"
	taskCancelled = "cancelled"
)

// taskState is a task as clients see it (SEP-2663).
type taskState struct {
	ID       string         `json:"taskId"`
	Status   string         `json:"status"`
	Created  time.Time      `json:"createdAt"`
	Updated  time.Time      `json:"lastUpdatedAt"`
	TTL      int64          `json:"ttlMs"`
	Poll     int64          `json:"pollIntervalMs"`
	Requests map[string]any `json:"inputRequests,omitempty"`
	Result   map[string]any `json:"result,omitempty"`
}

// ended reports whether the state is final.
func (s taskState) ended() bool { return s.Status == taskCompleted || s.Status == taskCancelled }

// task is a call that continues after its answer.
//
//	state           event       next
//	working         its time    completed
//	input_required  an update   completed
//	both            a cancel    cancelled
type task struct {
	taskState
	changed chan struct{} // closed at the next change
	stop    *time.Timer   // that completes it; nil = an update does
	forget  *time.Timer
}

// taskStore holds the tasks of a node, and ends them when it is closed. It is safe for
// concurrent use.
type taskStore struct {
	mu    sync.Mutex
	tasks map[string]*task // guarded by mu; nil = closed
}

func newTaskStore() *taskStore { return &taskStore{tasks: map[string]*task{}} }

// create creates a task: it completes after some time or, if there is a question, with
// the answer to it.
func (s *taskStore) create(after time.Duration, question string) (taskState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tasks == nil || len(s.tasks) >= maxTasks {
		return taskState{}, fmt.Errorf("the node has no room for another task: at most %d", maxTasks)
	}
	now := time.Now().UTC()
	t := &task{
		changed:   make(chan struct{}),
		taskState: taskState{ID: rand.Text(), Status: taskWorking, Created: now, Updated: now, TTL: taskTTL.Milliseconds(), Poll: taskPoll.Milliseconds()},
	}
	id := t.ID
	if question == "" {
		t.stop = time.AfterFunc(after, func() { _ = s.complete(id, fmt.Sprintf("done after %v", after)) })
	} else {
		t.Status, t.Requests = taskInput, questionOf(question)
	}
	t.forget = time.AfterFunc(taskTTL, func() { s.remove(id) })
	s.tasks[id] = t
	return t.taskState, nil
}

// questionOf is the request with which a task asks the client's user.
func questionOf(question string) map[string]any {
	return map[string]any{"answer": map[string]any{"method": "elicitation/create", "params": map[string]any{
		"mode": "form", "message": question,
		"requestedSchema": map[string]any{"type": "object", "properties": map[string]any{"answer": map[string]any{"type": "string"}}},
	}}}
}

// get returns a task's state, and what is closed when it changes.
func (s *taskStore) get(id string) (state taskState, changed <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return state, nil, false
	}
	return t.taskState, t.changed, true
}

// complete completes a task with a text, unless it has ended. It reports whether there is
// such a task.
func (s *taskStore) complete(id, text string) bool {
	result := map[string]any{"content": []any{map[string]any{"type": "text", "text": text}}}
	return s.change(id, taskCompleted, result)
}

// answer completes a task that has asked. It reports whether there is such a task.
func (s *taskStore) answer(id, text string) bool {
	state, _, ok := s.get(id)
	if ok && state.Status == taskInput {
		return s.complete(id, text)
	}
	return ok
}

// cancel cancels a task, unless it has ended. It reports whether there is such a task.
func (s *taskStore) cancel(id string) bool { return s.change(id, taskCancelled, nil) }

// change gives a task its final state, unless it has one.
func (s *taskStore) change(id, status string, result map[string]any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil || t.ended() {
		return t != nil
	}
	if t.stop != nil {
		t.stop.Stop()
	}
	t.Status, t.Result, t.Requests, t.Updated = status, result, nil, time.Now().UTC()
	t.forget.Reset(taskTTL)
	close(t.changed)
	t.changed = make(chan struct{})
	return true
}

// remove forgets a task.
func (s *taskStore) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tasks, id)
}

// closeWith closes the store when ctx ends: no timer of a task fires after.
func (s *taskStore) closeWith(ctx context.Context) {
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range s.tasks {
			t.forget.Stop()
			if t.stop != nil {
				t.stop.Stop()
			}
		}
		s.tasks = nil
	})
}
