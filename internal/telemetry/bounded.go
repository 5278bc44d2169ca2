package telemetry

import "sync"

// most is the number of values that a label takes whose values users choose;
// what comes later is Other.
const most = 200

// Other stands for the values of a label beyond the first 200.
const Other = "other"

// bounded lets a label, or a combination of them, take so many values only.
type bounded struct {
	mu    sync.RWMutex
	known map[[2]string]bool
}

// fit returns the values as they may be used as labels, and whether they are
// used for the first time.
func (b *bounded) fit(one, two string) (first, second string, isNew bool) {
	key := [2]string{one, two}
	b.mu.RLock()
	known, full := b.known[key], len(b.known) >= most
	b.mu.RUnlock()
	if known {
		return one, two, false
	}
	if full {
		return Other, otherOf(two), false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[[2]string]bool{}
	}
	b.known[key] = true
	return one, two, true
}

// one is fit of a single label.
func (b *bounded) one(value string) string {
	value, _, _ = b.fit(value, "")
	return value
}

func otherOf(value string) string {
	if value == "" {
		return ""
	}
	return Other
}
