package mcp

import "bytes"

// taskScanner reads JSON-RPC messages in pieces of any size and finds where the ids of
// tasks end: result.taskId, params.taskId and the items of params.notifications.taskIds
// (SEP-2663), each only there, never deeper. It does not validate: what is not JSON may
// have ids or none. The zero value is ready for the first byte of a message, or of an
// array of them.
//
// The place is the innermost object or array that may have an id, or lead to one; others
// are skipped as a value of it:
//
//	place          members that lead on
//	top            {: message; [: batch
//	batch          {: message
//	message        result: {: result; params: {: params; method: noted
//	result         taskId: an id; resultType: noted
//	params         taskId: an id; notifications: {: notifications
//	notifications  taskIds: [: ids
//	ids            texts: ids
//
// The state transitions:
//
//	state   byte               next
//	value   "                  text; of a method or type: word; of an id: id
//	        { [                key, value of the place that it leads to, or nested
//	        }                  as in after
//	        any other          scalar
//	key     "                  name
//	        }                  as in after
//	name    " unescaped        colon
//	colon   :                  value
//	text    " unescaped        after
//	word    " unescaped        after
//	id      " unescaped        idQuote, without the byte
//	idQuote "                  after
//	scalar  , } ] white space  as in after
//	nested  } ] of its own     after
//	after   ,                  key, in an array value
//	        } ]                after, of the place around it; around top end
//	end, failed                (final)
//
// White space keeps value, key, colon, after and end; every other byte leads to failed.
type taskScanner struct {
	read    int // bytes so far
	start   int // of the id that is read, or was read last: its first byte behind the quote
	nested  int // levels of what is skipped
	place   taskPlace
	state   taskState
	batch   bool // the messages stand in an array
	escaped bool // in a text that is no word: after a backslash
	inText  bool // of nested
	key     taskKey
	word    knownWord
	method  taskMethod // of the message
	created answer     // whether the result says that it is a task
}

type taskPlace uint8

const (
	taskTop taskPlace = iota
	taskBatch
	taskMessage
	taskResult
	taskParams
	taskNotifications
	taskIDs
	numTaskPlaces
)

type taskState uint8

const (
	taskValue taskState = iota
	taskKeyBegin
	taskName
	taskColon
	taskText
	taskWord
	taskID
	taskIDQuote
	taskScalar
	taskNested
	taskAfter
	taskEnd
	taskFailed
	numTaskStates
)

// taskKey is a key that matters in its place.
type taskKey uint8

const (
	keyOther taskKey = iota
	keyResult
	keyParams
	keyMethod
	keyType
	keyID
	keyNotifications
	keyIDs
	numTaskKeys
)

var taskKeys = [numTaskPlaces]map[string]taskKey{
	taskMessage:       {"result": keyResult, "params": keyParams, "method": keyMethod},
	taskResult:        {"resultType": keyType, "taskId": keyID},
	taskParams:        {"taskId": keyID, "notifications": keyNotifications},
	taskNotifications: {"taskIds": keyIDs},
}

// taskPlaces are where a key leads whose value is an object, or an array with keyIDs.
var taskPlaces = map[taskKey]taskPlace{
	keyResult: taskResult, keyParams: taskParams, keyNotifications: taskNotifications, keyIDs: taskIDs,
}

// around are the places that others stand in; that of a message may also be a batch.
var around = [numTaskPlaces]taskPlace{
	taskResult: taskMessage, taskParams: taskMessage, taskNotifications: taskParams, taskIDs: taskNotifications,
}

// answer is what is known about a question.
type answer uint8

const (
	unknown answer = iota
	yes
	no
	numAnswers
)

// taskMethod is which of the methods that show ids a message has.
type taskMethod uint8

const (
	methodUnknown taskMethod = iota // not read yet
	methodOther
	methodTasks        // notifications/tasks
	methodAcknowledged // notifications/subscriptions/acknowledged
	numTaskMethods
)

func taskMethodOf(name []byte) taskMethod {
	switch MethodOf(name) {
	case MethodNotificationsTasks, MethodNotificationsTasksStatus:
		return methodTasks
	case MethodNotificationsSubscriptionsAcknowledged:
		return methodAcknowledged
	}
	return methodOther
}

// taskEvent is what a taskScanner has found.
type taskEvent uint8

const (
	taskNothing     taskEvent = iota
	taskIDEnds                // the next byte is the closing quote of an id
	taskNoted                 // method or created is known
	taskResultEnds            // the result that was the place
	taskMessageEnds           // likewise the message, or what comes is not JSON
)

// next reads a part of p, which is not empty, up to the next event, and returns how many
// bytes it read.
func (s *taskScanner) next(p []byte) (n int, event taskEvent) {
	for n < len(p) && event == taskNothing {
		var size int
		size, event = s.some(p[n:])
		n += size
		s.read += size
	}
	return n, event
}

// some reads some bytes of p, which is not empty, and returns how many: perhaps none, if
// it changes the state.
func (s *taskScanner) some(p []byte) (n int, event taskEvent) {
	switch s.state {
	case taskName, taskWord:
		n, ended := s.word.feed(p)
		if !ended {
			return n, taskNothing
		}
		return n, s.endWord()
	case taskText:
		n, ended := s.text(p)
		if ended {
			s.state = taskAfter
			n++
		}
		return n, taskNothing
	case taskID:
		return s.id(p)
	case taskIDQuote:
		s.state = taskAfter
		return 1, taskNothing
	case taskScalar:
		return s.scalar(p), taskNothing
	case taskNested:
		return s.skip(p), taskNothing
	case taskEnd, taskFailed:
		return len(p), taskNothing
	}
	return 1, s.punctuation(p[0])
}

// text reads a text up to its closing quote.
func (s *taskScanner) text(p []byte) (n int, ended bool) {
	for n < len(p) {
		if s.escaped {
			s.escaped = false
			n++
			continue
		}
		if n += plain(p[n:]); n == len(p) {
			break
		}
		if p[n] == '"' {
			return n, true
		}
		s.escaped = p[n] == '\\'
		if s.escaped {
			n++
		}
	}
	return n, false
}

// id reads an id up to its closing quote; an empty one is none.
func (s *taskScanner) id(p []byte) (n int, event taskEvent) {
	n, ended := s.text(p)
	if !ended {
		return n, taskNothing
	}
	s.state = taskIDQuote
	if s.read+n == s.start {
		return n, taskNothing
	}
	return n, taskIDEnds
}

// scalar reads a number, true, false or null, without the byte that ends it.
func (s *taskScanner) scalar(p []byte) int {
	n := bytes.IndexAny(p, ",}] \t\r\n")
	if n < 0 {
		return len(p)
	}
	s.state = taskAfter
	return n
}

// skip reads an array or object that has no ids, up to its end or a text in it.
func (s *taskScanner) skip(p []byte) int {
	if s.inText {
		n, ended := s.text(p)
		if ended {
			s.inText = false
			n++
		}
		return n
	}
	for i, b := range p {
		switch b {
		case '"':
			s.inText = true
			return i + 1
		case '{', '[':
			s.nested++
		case '}', ']':
			if s.nested--; s.nested == 0 {
				s.state = taskAfter
				return i + 1
			}
		}
	}
	return len(p)
}

// punctuation reads a byte between texts, scalars and what is skipped.
func (s *taskScanner) punctuation(b byte) taskEvent {
	if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
		return taskNothing
	}
	switch {
	case s.state == taskKeyBegin && b == '"':
		s.state = taskName
		s.word.begin()
	case s.state == taskColon && b == ':':
		s.state = taskValue
	case s.state == taskAfter && b == ',':
		s.state = taskKeyBegin
		if s.inArray() {
			s.state = taskValue
		}
	case b == '}' || b == ']':
		return s.leave(b)
	case s.state == taskValue:
		s.value(b)
	default:
		return s.fail()
	}
	if s.state == taskFailed {
		return taskMessageEnds
	}
	return taskNothing
}

// fail ends reading.
func (s *taskScanner) fail() taskEvent {
	s.state = taskFailed
	return taskMessageEnds
}

// inArray reports whether the place is an array.
func (s *taskScanner) inArray() bool { return s.place == taskBatch || s.place == taskIDs }

// value reads the first byte of a value.
func (s *taskScanner) value(b byte) {
	key := s.key
	s.key = keyOther
	switch b {
	case '{', '[':
		s.enter(b, key)
	case '"':
		s.state, s.escaped = taskText, false
		switch {
		case key == keyMethod, key == keyType:
			s.state, s.key = taskWord, key
			s.word.begin()
		case key == keyID, s.place == taskIDs:
			s.state, s.start = taskID, s.read+1
		}
	case ',', ':':
		s.state = taskFailed
	default:
		s.state = taskScalar
	}
	if s.place == taskTop {
		s.state = taskFailed // no message
	}
}

// enter begins an array or object.
func (s *taskScanner) enter(b byte, key taskKey) {
	next := taskTop
	switch {
	case s.place == taskTop && b == '[':
		s.batch, next = true, taskBatch
	case b == '{' && (s.place == taskTop || s.place == taskBatch):
		s.method, next = methodUnknown, taskMessage
	case (b == '[') == (key == keyIDs):
		next = taskPlaces[key]
	}
	switch {
	case next == taskTop:
		s.state, s.nested, s.inText, s.escaped = taskNested, 1, false, false
		return
	case next == taskResult:
		s.created = unknown
	}
	s.place, s.state = next, taskKeyBegin
	if s.inArray() {
		s.state = taskValue
	}
}

// leave ends the place.
func (s *taskScanner) leave(b byte) taskEvent {
	was := s.place
	if was == taskTop || s.inArray() != (b == ']') || s.state == taskColon {
		return s.fail()
	}
	s.place, s.state, s.key = around[was], taskAfter, keyOther
	switch {
	case was == taskMessage && s.batch:
		s.place = taskBatch
	case s.place == taskTop:
		s.state = taskEnd
	}
	switch was {
	case taskMessage:
		return taskMessageEnds
	case taskResult:
		return taskResultEnds
	}
	return taskNothing
}

// endWord reads the closing quote of a key, or of a method or type.
func (s *taskScanner) endWord() taskEvent {
	if s.state == taskName {
		s.state, s.key = taskColon, taskKeys[s.place][string(s.word.of())]
		return taskNothing
	}
	s.state = taskAfter
	switch {
	case s.key == keyType && s.word.is("task"):
		s.created = yes
	case s.key == keyType:
		s.created = no
	default:
		s.method = taskMethodOf(s.word.of())
	}
	s.key = keyOther
	return taskNoted
}
