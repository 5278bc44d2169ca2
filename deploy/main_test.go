// Package deploy checks the files of this folder, and runs what they describe.
package deploy

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if image.dir != "" {
		_ = os.RemoveAll(image.dir)
	}
	os.Exit(code)
}
