package mcp

// Method is a method of MCP as a small number: an index of counters, and a
// label of metrics that no client can invent. The numbers may differ between
// versions of this program; the names do not.
type Method uint8

// The methods, in either direction, of the specifications from 2024-11-05 to
// 2026-07-28 and of the extension for tasks.
const (
	MethodNone  Method = iota // there is no method, or it is not known yet
	MethodOther               // any other method
	MethodCompletionComplete
	MethodElicitationCreate
	MethodInitialize
	MethodLoggingSetLevel
	MethodNotificationsCancelled
	MethodNotificationsElicitationComplete
	MethodNotificationsInitialized
	MethodNotificationsMessage
	MethodNotificationsProgress
	MethodNotificationsPromptsListChanged
	MethodNotificationsResourcesListChanged
	MethodNotificationsResourcesUpdated
	MethodNotificationsRootsListChanged
	MethodNotificationsSubscriptionsAcknowledged
	MethodNotificationsTasks
	MethodNotificationsTasksStatus
	MethodNotificationsToolsListChanged
	MethodPing
	MethodPromptsGet
	MethodPromptsList
	MethodResourcesList
	MethodResourcesRead
	MethodResourcesSubscribe
	MethodResourcesTemplatesList
	MethodResourcesUnsubscribe
	MethodRootsList
	MethodSamplingCreateMessage
	MethodServerDiscover
	MethodSubscriptionsListen
	MethodTasksCancel
	MethodTasksGet
	MethodTasksList
	MethodTasksResult
	MethodTasksUpdate
	MethodToolsCall
	MethodToolsList

	// NumMethods is the number of methods, MethodNone and MethodOther included.
	NumMethods
)

var methodNames = [NumMethods]string{
	MethodNone:                                   "none",
	MethodOther:                                  "other",
	MethodCompletionComplete:                     "completion/complete",
	MethodElicitationCreate:                      "elicitation/create",
	MethodInitialize:                             "initialize",
	MethodLoggingSetLevel:                        "logging/setLevel",
	MethodNotificationsCancelled:                 "notifications/cancelled",
	MethodNotificationsElicitationComplete:       "notifications/elicitation/complete",
	MethodNotificationsInitialized:               "notifications/initialized",
	MethodNotificationsMessage:                   "notifications/message",
	MethodNotificationsProgress:                  "notifications/progress",
	MethodNotificationsPromptsListChanged:        "notifications/prompts/list_changed",
	MethodNotificationsResourcesListChanged:      "notifications/resources/list_changed",
	MethodNotificationsResourcesUpdated:          "notifications/resources/updated",
	MethodNotificationsRootsListChanged:          "notifications/roots/list_changed",
	MethodNotificationsSubscriptionsAcknowledged: longestMethodName,
	MethodNotificationsTasks:                     "notifications/tasks",
	MethodNotificationsTasksStatus:               "notifications/tasks/status",
	MethodNotificationsToolsListChanged:          "notifications/tools/list_changed",
	MethodPing:                                   "ping",
	MethodPromptsGet:                             "prompts/get",
	MethodPromptsList:                            "prompts/list",
	MethodResourcesList:                          "resources/list",
	MethodResourcesRead:                          "resources/read",
	MethodResourcesSubscribe:                     "resources/subscribe",
	MethodResourcesTemplatesList:                 "resources/templates/list",
	MethodResourcesUnsubscribe:                   "resources/unsubscribe",
	MethodRootsList:                              "roots/list",
	MethodSamplingCreateMessage:                  "sampling/createMessage",
	MethodServerDiscover:                         "server/discover",
	MethodSubscriptionsListen:                    "subscriptions/listen",
	MethodTasksCancel:                            "tasks/cancel",
	MethodTasksGet:                               "tasks/get",
	MethodTasksList:                              "tasks/list",
	MethodTasksResult:                            "tasks/result",
	MethodTasksUpdate:                            "tasks/update",
	MethodToolsCall:                              "tools/call",
	MethodToolsList:                              "tools/list",
}

const (
	longestMethodName = "notifications/subscriptions/acknowledged"
	maxMethodName     = len(longestMethodName)
)

// methodByName is the inverse of methodNames.
var methodByName = indexMethods()

func indexMethods() map[string]Method {
	index := make(map[string]Method, NumMethods)
	for m := MethodOther + 1; m < NumMethods; m++ {
		index[methodNames[m]] = m
	}
	return index
}

// MethodOf returns the method called name, the value of an Mcp-Method header or
// of "method" in a message: MethodNone if name is empty, MethodOther if it is
// unknown. It is case-sensitive.
func MethodOf(name []byte) Method {
	if len(name) == 0 {
		return MethodNone
	}
	if m, known := methodByName[string(name)]; known {
		return m
	}
	return MethodOther
}

// OnlyReads reports whether a request of the method changes nothing in a server, so
// that it may be sent twice.
func (m Method) OnlyReads() bool {
	switch m {
	case MethodServerDiscover, MethodToolsList, MethodResourcesList, MethodResourcesTemplatesList, MethodPromptsList,
		MethodResourcesRead, MethodPromptsGet, MethodTasksGet, MethodPing:
		return true
	}
	return false
}

// String returns the method's name, or "none" or "other".
func (m Method) String() string {
	if m >= NumMethods {
		return methodNames[MethodOther]
	}
	return methodNames[m]
}
