package wire

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// An inbox is a stream that belongs to one client process. Orchestrators add
// messages to it when they answer a submission or a control request of that
// client, and when a run of it ends. A message only wakes the client up, and may
// be lost: the answers and the run's record are the truth.

var inboxForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// IsInbox reports whether a text may name an inbox. It becomes part of a key.
func IsInbox(text string) bool { return inboxForm.MatchString(text) }

// Message tells a client that something it may wait for has happened. It is
// about a submission, a control request, or else the end of a run.
type Message struct {
	// Submission and Control are entry ids.
	Submission string `json:"submission,omitempty"`
	Control    string `json:"control,omitempty"`
	Run        string `json:"run,omitempty"`
	// State is Accepted or Rejected; of the end of a run, its state.
	State string `json:"state"`
	// Error says why something was rejected. A long text is left out: then the
	// answer itself has it.
	Error string `json:"error,omitempty"`
}

// maxMessageError is the size in bytes above which the text of an error is left
// out of a message.
const maxMessageError = 4 << 10

// message returns the message about an answer, without its subject.
func (a *Answer) message() Message {
	m := Message{Run: a.Run, State: a.State, Error: a.Error}
	if len(m.Error) > maxMessageError {
		m.Error = ""
	}
	return m
}

// MessagesOf returns the messages about answers to submissions, by inbox.
func MessagesOf(answers []AnswerTo) map[string][]Message {
	var all map[string][]Message
	for i := range answers {
		a := &answers[i]
		if !IsInbox(a.Inbox) {
			continue
		}
		m := a.message()
		m.Submission = a.Entry
		if all == nil {
			all = map[string][]Message{}
		}
		all[a.Inbox] = append(all[a.Inbox], m)
	}
	return all
}

// ControlMessage returns the message about the answer to a control request.
func ControlMessage(a *AnswerTo) Message {
	m := a.message()
	m.Control = a.Entry
	return m
}

// EncodeMessages returns the value of the field messages of an inbox entry.
func EncodeMessages(messages []Message) string {
	raw, err := json.Marshal(messages)
	if err != nil {
		return "[]" // texts only: this cannot happen
	}
	return string(raw)
}

// ParseMessages reads the fields of an inbox entry.
func ParseMessages(values map[string]any) ([]Message, error) {
	text, _ := values["messages"].(string)
	var out []Message
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("%w: the field messages is not a list of messages: %w", ErrMalformed, err)
	}
	return out, nil
}

// ReplyTo says where the answer to a control request belongs, as one text that
// travels as the field Reply of the event that the request becomes: its entry,
// and its inbox if it has one.
func (c *Control) ReplyTo() string {
	if c.Inbox == "" {
		return c.Entry
	}
	return c.Entry + "@" + c.Inbox
}

// AnswerReply returns the answer to the control request that an event's Reply
// names.
func AnswerReply(reply string, a Answer) AnswerTo {
	entry, inbox, _ := strings.Cut(reply, "@")
	if !IsInbox(inbox) {
		inbox = ""
	}
	return AnswerTo{Entry: entry, Inbox: inbox, Answer: a}
}
