package admin

// checkCode explains a result of a health check.
type checkCode struct{ Name, Meaning string }

// checkCodeList are the codes of Check.Code, with what they mean for an operator. A test of
// package proxy verifies that it has every code of package healthcheck.
var checkCodeList = []checkCode{
	{"UNK", "no check has finished yet"},
	{"SOCKERR", "the balancer itself could not check: no file descriptor, port or memory, or the server has no such endpoint"},
	{"L4OK", "the connection was established"},
	{"L4TOUT", "the connection was not established in time: the host is off, or a firewall drops packets"},
	{"L4CON", "the connection was refused, or the server cannot be reached: its process does not listen"},
	{"L6OK", "the TLS handshake was completed, and the server's certificate is accepted"},
	{"L6TOUT", "connected, but the TLS handshake was not completed in time: the process hangs or is overloaded, or does not speak TLS"},
	{"L6RSP", "the TLS handshake failed, or the server's certificate is not accepted: the text says why"},
	{"L7OK", "the server answered the check as expected"},
	{"L7OKC", "the server answered with a status of drain_on: it works, and asks for no new clients"},
	{"L7TOUT", "connected, but no complete answer came in time: the process hangs or is overloaded"},
	{"L7STS", "an HTTP answer with another status than expected"},
	{"L7RSP", "an invalid answer, a body without expect_body, or the connection ended before an answer"},
}

// CheckCode explains the code of a health check in words; "" for a code that does not exist.
func CheckCode(name string) string {
	for _, c := range checkCodeList {
		if c.Name == name {
			return c.Meaning
		}
	}
	return ""
}

func checkCodes() []checkCode { return checkCodeList }
