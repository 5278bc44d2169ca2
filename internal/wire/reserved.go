package wire

// Names that later versions of Orchis will use. Readers ignore them today, and no
// other part of Orchis, no worker and no client may give them a meaning.
// docs/protocol.md says what each is for.

// ReservedTicketKeys are keys of a ticket's JSON: checkpoint, resources, fairness
// key and encryption envelope.
func ReservedTicketKeys() []string { return []string{"cp", "rs", "fk", "enc"} }

// ReservedEventTypes are types of events that have no effect today.
func ReservedEventTypes() []string {
	return []string{"checkpoint", "stream", "skip", "complete", "fail", "retryNow"}
}

// ReservedEventKeys are keys of an event's JSON.
func ReservedEventKeys() []string { return []string{"checkpoint", "enc"} }

// ReservedFields are fields of a submission. They are refused today, since a person
// who sets one relies on it.
func ReservedFields() []string { return []string{"at", "expires", "start", "enc"} }
