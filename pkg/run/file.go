package run

import "strings"

// byURL begins a text that stands for a file which has to be fetched first.
const byURL = "artifact+"

// FileAt is how an input of type file stands that was given as a URL: who needs
// the file fetches it.
func FileAt(url string) string { return byURL + url }

// FileURL returns the URL of a text that FileAt made.
func FileURL(text string) (url string, ok bool) {
	url, ok = strings.CutPrefix(text, byURL)
	return url, ok && (strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://"))
}
