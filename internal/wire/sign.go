package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MinKey is the least length of a signing key, in bytes.
const MinKey = 32

// ErrSignature says that a ticket does not come from an orchestrator that has
// the key, or has been changed since, or is too old.
var ErrSignature = errors.New("the ticket is not to be trusted")

// Keys sign tickets, and verify them. The first key signs, all verify, so that
// a key can be replaced without a pause. No keys at all sign and verify
// nothing.
type Keys struct{ keys [][]byte }

// ParseKeys reads keys with commas between.
func ParseKeys(text string) (Keys, error) {
	var k Keys
	if strings.TrimSpace(text) == "" {
		return k, nil
	}
	for i, key := range strings.Split(text, ",") {
		key = strings.TrimSpace(key)
		if len(key) < MinKey {
			return Keys{}, fmt.Errorf("key %d has %d bytes, want at least %d, as of openssl rand -hex 32", i+1, len(key), MinKey)
		}
		k.keys = append(k.keys, []byte(key))
	}
	return k, nil
}

// Empty reports whether there are no keys.
func (k Keys) Empty() bool { return len(k.keys) == 0 }

const signatureForm = "2:"

// Sign returns the signature of a ticket's JSON in a stream of a partition, by
// the first key.
func (k Keys) Sign(partition int, stream string, ticket []byte) string {
	if k.Empty() {
		return ""
	}
	return signatureForm + base64.RawStdEncoding.EncodeToString(mac(k.keys[0], partition, stream, ticket))
}

// Verify checks a ticket's signature against all keys, and that it was made at
// most maxAge (0 is any time) before now. Its error is an ErrSignature.
func (k Keys) Verify(t *Ticket, now time.Time, maxAge time.Duration) error {
	if k.Empty() {
		return nil
	}
	if t.Signature == "" {
		return fmt.Errorf("%w: it is not signed", ErrSignature)
	}
	text, ok := strings.CutPrefix(t.Signature, signatureForm)
	sum, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil {
		return fmt.Errorf("%w: its signature has an unknown form", ErrSignature)
	}
	for _, key := range k.keys {
		if !hmac.Equal(sum, mac(key, t.Partition, t.Stream().String(), []byte(t.Text))) { // mutant: signature-must-match (false)
			continue
		}
		if age := now.Sub(time.UnixMilli(t.SignedMs)); maxAge > 0 && age > maxAge {
			return fmt.Errorf("%w: it was signed %s ago, longer than %s", ErrSignature, age.Round(time.Second), maxAge)
		}
		return nil
	}
	return fmt.Errorf("%w: its signature is wrong: it was changed, or signed with another key", ErrSignature)
}

// mac is the HMAC-SHA256 of the exact bytes of a ticket and of the name of its
// stream, so that no ticket can be moved to another queue or lane.
func mac(key []byte, partition int, stream string, ticket []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "orchis ticket 2\n%d\n%s\n", partition, stream) // writing to a hash gives no errors
	_, _ = h.Write(ticket)
	return h.Sum(nil)
}
