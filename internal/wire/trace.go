package wire

import (
	"regexp"
	"strings"
)

var traceForm = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// IsTrace reports whether a text is a W3C traceparent of version 00.
func IsTrace(text string) bool {
	return traceForm.MatchString(text) && !strings.Contains(text, "-"+strings.Repeat("0", 32)+"-") && !strings.Contains(text, "-"+strings.Repeat("0", 16)+"-")
}

// TraceID is the trace of a traceparent; "" when it is none.
func TraceID(traceparent string) string {
	if !IsTrace(traceparent) {
		return ""
	}
	return traceparent[3:35]
}
