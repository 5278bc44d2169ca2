package jsontext

import "testing"

// FuzzLikeEncodingJSON compares every function with encoding/json.
func FuzzLikeEncodingJSON(f *testing.F) {
	for _, text := range texts() {
		f.Add(text)
	}
	f.Fuzz(checkLikeEncoding)
}
