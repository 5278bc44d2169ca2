package wire

import "strings"

// Member is who holds a slot of a group or waits for one: a task (the run
// itself when Task is empty), by the question it asked.
type Member struct {
	Run  string `json:"run"`
	Task string `json:"task,omitempty"`
	Ask  string `json:"ask"`
	// Since is when a holder got its slot, in Unix milliseconds.
	Since int64 `json:"since,omitempty"`
}

// String is the member as it stands in Redis.
func (m Member) String() string { return m.Run + "|" + m.Task + "|" + m.Ask }

// ParseMember reads what String wrote.
func ParseMember(s string) Member {
	first, rest, _ := strings.Cut(s, "|")
	at := strings.LastIndexByte(rest, '|')
	if at < 0 {
		return Member{Run: first}
	}
	return Member{Run: first, Task: rest[:at], Ask: rest[at+1:]}
}

// GroupAsk asks for a slot of a group.
type GroupAsk struct {
	Group    string
	Member   Member
	Limit    int
	Priority int // 0 to 9, the higher the sooner
	// Mode is what is to happen without a free slot: queue, skip, fail or
	// cancelOldest.
	Mode string
	Now  int64
}

// GroupReply says what became of a question or a slot.
type GroupReply struct {
	State string // held, waits or refused
	// Until is when a paused group gives slots again; 0 when it is not paused.
	Until int64
	// Granted have a slot now; Evicted have lost theirs.
	Granted, Evicted []Member
}

// Group is who holds slots of a group, and who waits.
type Group struct {
	Name    string   `json:"name"`
	Limit   int      `json:"limit"`
	Until   int64    `json:"until,omitempty"`
	Holders []Member `json:"holders"`
	Waiters []Member `json:"waiters"`
}
