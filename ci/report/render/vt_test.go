package render_test

import (
	"strconv"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
)

// vt is a terminal as far as the live view uses one. It breaks lines again when
// it is resized, as most terminals do.
type vt struct {
	mu            sync.Mutex
	width, height int
	rows          []vtRow // scrollback and screen
	x, y          int     // y counts from the first row of all
	wrap, visible bool
	writes        int
	unknown       []string
}

type vtRow struct {
	cells     []string // a wide rune fills two, the second of them empty
	continues bool     // the row above was broken here
}

func newVT(width, height int) *vt {
	return &vt{width: width, height: height, rows: make([]vtRow, 1), wrap: true, visible: true}
}

func (v *vt) size() (int, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.width, v.height
}

func (v *vt) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	for text := string(p); text != ""; {
		text = text[v.step(text):]
	}
	return len(p), nil
}

func (v *vt) step(text string) int {
	switch {
	case strings.HasPrefix(text, "\x1b["):
		end := 2 + strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
		v.csi(text[2:end], text[end])
		return end + 1
	case text[0] == '\r':
		v.x = 0
		return 1
	case text[0] == '\n':
		v.down(false)
		return 1
	}
	r := []rune(text)[0]
	v.put(string(r), runewidth.RuneWidth(r))
	return len(string(r))
}

func (v *vt) csi(params string, final byte) {
	n, _ := strconv.Atoi(params)
	switch {
	case final == 'A':
		v.y = max(v.top(), v.y-max(1, n))
	case final == 'K':
		v.rows[v.y].cells = v.rows[v.y].cells[:min(v.x, len(v.rows[v.y].cells))]
	case final == 'J':
		v.csi("", 'K')
		v.rows = v.rows[:v.y+1]
	case final == 'm', params == "?2026":
	case params == "?7":
		v.wrap = final == 'h'
	case params == "?25":
		v.visible = final == 'h'
	default:
		v.unknown = append(v.unknown, params+string(final))
	}
}

func (v *vt) top() int { return max(0, len(v.rows)-v.height) }

func (v *vt) down(continues bool) {
	v.y++
	if v.y == len(v.rows) {
		v.rows = append(v.rows, vtRow{continues: continues})
	}
}

func (v *vt) put(cell string, width int) {
	if v.x+width > v.width {
		if !v.wrap {
			v.x = v.width - width
		} else {
			v.down(true)
			v.x = 0
		}
	}
	row := &v.rows[v.y]
	for len(row.cells) < v.x+width {
		row.cells = append(row.cells, " ")
	}
	row.cells[v.x] = cell
	if width == 2 {
		row.cells[v.x+1] = ""
	}
	v.x += width
}

// resize breaks all lines anew. The cursor must be at the end of what was written.
func (v *vt) resize(width, height int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var lines [][]string
	for _, row := range v.rows {
		if row.continues {
			last := len(lines) - 1
			lines[last] = append(lines[last], row.cells...)
			continue
		}
		lines = append(lines, row.cells)
	}
	v.width, v.height, v.rows = width, height, nil
	for _, cells := range lines {
		for first := true; first || len(cells) > 0; first = false {
			n := min(width, len(cells))
			v.rows = append(v.rows, vtRow{cells: cells[:n:n], continues: !first})
			cells = cells[n:]
		}
	}
	v.y = len(v.rows) - 1
}

// all returns scrollback and screen.
func (v *vt) all() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text(0)
}

// screen returns what is to be seen.
func (v *vt) screen() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text(v.top())
}

func (v *vt) text(from int) string {
	var b strings.Builder
	for _, row := range v.rows[from:] {
		b.WriteString(strings.TrimRight(strings.Join(row.cells, ""), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
