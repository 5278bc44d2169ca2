// Keeps pages up to date, and makes graphs and logs handy. Everything can be
// read without it.
const root = document.documentElement
const base = root.dataset.base

// Theme: as the system, light or dark.
const theme = document.querySelector('[data-theme-switch]')
const wear = (t) => (t ? root.setAttribute('data-theme', t) : root.removeAttribute('data-theme'))
wear(localStorage.getItem('orchis-theme') || '')
if (theme) {
  theme.value = localStorage.getItem('orchis-theme') || ''
  theme.addEventListener('change', () => { localStorage.setItem('orchis-theme', theme.value); wear(theme.value) })
}

document.addEventListener('click', (e) => {
  const ask = e.target.closest('[data-confirm]')
  if (ask && !window.confirm(ask.dataset.confirm)) e.preventDefault()
})

// --- Graphs: drag to move, wheel to zoom, arrow keys from card to card.
const places = new Map()
const placeOf = (svg) => {
  const key = svg.getAttribute('aria-label')
  if (!places.has(key)) places.set(key, { x: 0, y: 0, k: 0 })
  return places.get(key)
}
const apply = (svg) => {
  const p = placeOf(svg), view = svg.parentElement.querySelector('.mini .view')
  svg.querySelector('[data-scene]').setAttribute('transform', `translate(${p.x} ${p.y}) scale(${p.k})`)
  if (!view) return
  const box = svg.parentElement.getBoundingClientRect(), w = +svg.getAttribute('width'), h = +svg.getAttribute('height')
  const [x, y, right, bottom] = [Math.max(0, -p.x / p.k), Math.max(0, -p.y / p.k), Math.min(w, (box.width - p.x) / p.k), Math.min(h, (box.height - p.y) / p.k)]
  for (const [name, v] of Object.entries({ x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) })) view.setAttribute(name, v)
  view.ownerSVGElement.style.display = x <= 0 && y <= 0 && right >= w && bottom >= h ? 'none' : ''
}
// The map: all cards, small, and what of them is in view; there unless all is.
const chart = (canvas, svg) => {
  const w = +svg.getAttribute('width'), h = +svg.getAttribute('height'), k = Math.min(220 / w, 110 / h)
  const make = (name, set, into) => {
    const el = document.createElementNS(svg.namespaceURI, name)
    for (const [a, v] of Object.entries(set)) el.setAttribute(a, v)
    return into.appendChild(el)
  }
  const mini = make('svg', { class: 'mini', 'aria-hidden': 'true', viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', width: w * k, height: Math.max(h * k, 20) }, canvas)
  for (const card of svg.querySelectorAll('.node:not(.frame) .card')) {
    make('rect', { class: card.parentElement.getAttribute('class').replace('node', ''), x: card.getAttribute('x'), y: card.getAttribute('y'), width: card.getAttribute('width'), height: card.getAttribute('height') }, mini)
  }
  make('rect', { class: 'view' }, mini)
  const go = (e) => {
    if (!(e.buttons & 1)) return
    e.stopPropagation()
    const box = mini.getBoundingClientRect(), all = canvas.getBoundingClientRect(), p = placeOf(svg)
    p.x = all.width / 2 - (e.clientX - box.left) / box.width * w * p.k
    p.y = all.height / 2 - (e.clientY - box.top) / box.height * h * p.k
    apply(svg)
  }
  mini.addEventListener('pointerdown', go)
  mini.addEventListener('pointermove', go)
}
const fit = (svg) => {
  const p = placeOf(svg), box = svg.parentElement.getBoundingClientRect()
  const w = +svg.getAttribute('width'), h = +svg.getAttribute('height')
  p.k = Math.max(Math.min(box.width / w, box.height / h, 1.25), 0.08)
  if (p.k < 0.6 && w > box.width && h * 0.6 < box.height) p.k = Math.max(p.k, Math.min(0.6, box.height / h))
  p.x = Math.max((box.width - w * p.k) / 2, 0)
  p.y = Math.max((box.height - h * p.k) / 2, 0)
  apply(svg)
}
const zoom = (svg, factor, x, y) => {
  const p = placeOf(svg), k = Math.min(Math.max(p.k * factor, 0.05), 4)
  p.x = x - (x - p.x) * (k / p.k)
  p.y = y - (y - p.y) * (k / p.k)
  p.k = k
  apply(svg)
}
const enliven = (canvas) => {
  const svg = canvas.querySelector('[data-graph]')
  if (!svg || canvas.classList.contains('alive')) return
  canvas.classList.add('alive')
  svg.removeAttribute('viewBox')
  chart(canvas, svg)
  if (placeOf(svg).k) apply(svg); else fit(svg)
  canvas.addEventListener('wheel', (e) => {
    e.preventDefault()
    const box = canvas.getBoundingClientRect()
    zoom(svg, e.deltaY < 0 ? 1.15 : 1 / 1.15, e.clientX - box.left, e.clientY - box.top)
  }, { passive: false })
  let from = null, moved = false
  canvas.addEventListener('pointerdown', (e) => { if (e.button === 0 && !e.target.closest('.tools')) { from = { x: e.clientX, y: e.clientY }; moved = false } })
  canvas.addEventListener('pointermove', (e) => {
    if (!from) return
    const dx = e.clientX - from.x, dy = e.clientY - from.y
    if (!moved && Math.hypot(dx, dy) < 4) return
    moved = true
    const p = placeOf(svg)
    p.x += dx; p.y += dy
    from = { x: e.clientX, y: e.clientY }
    apply(svg)
  })
  window.addEventListener('pointerup', () => { from = null })
  canvas.addEventListener('click', (e) => {
    if (moved) { e.preventDefault(); moved = false }
    const z = e.target.closest('[data-zoom]')
    if (!z) return
    const box = canvas.getBoundingClientRect()
    if (z.dataset.zoom === 'fit') fit(svg); else zoom(svg, z.dataset.zoom === 'in' ? 1.3 : 1 / 1.3, box.width / 2, box.height / 2)
  })
  canvas.addEventListener('keydown', (e) => {
    const here = document.activeElement
    if (!here || !here.matches('[data-node]') || !e.key.startsWith('Arrow')) return
    e.preventDefault()
    const a = here.getBoundingClientRect()
    let best = null, least = Infinity
    for (const other of svg.querySelectorAll('[data-node]')) {
      if (other === here) continue
      const b = other.getBoundingClientRect(), dx = b.left - a.left, dy = b.top - a.top
      const [ahead, aside] = { ArrowRight: [dx, dy], ArrowLeft: [-dx, dy], ArrowDown: [dy, dx], ArrowUp: [-dy, dx] }[e.key]
      if (ahead > 4 && ahead + 2 * Math.abs(aside) < least) { best = other; least = ahead + 2 * Math.abs(aside) }
    }
    if (best) best.focus()
  })
}

// --- Logs: follow and find.
const tend = () => {
  document.querySelectorAll('[data-canvas]').forEach(enliven)
  document.querySelectorAll('[data-tail]').forEach((tail) => { tail.scrollTop = tail.scrollHeight })
  const log = document.querySelector('[data-log]'), follow = document.querySelector('[data-follow]'), find = document.querySelector('[data-find]')
  if (!log) return
  if (follow && follow.checked) log.scrollTop = log.scrollHeight
  if (find && find.value) for (const line of log.children) line.classList.toggle('off', !line.textContent.includes(find.value))
}
document.addEventListener('change', (e) => {
  if (e.target.matches('[data-wrap]')) document.querySelector('[data-log]').classList.toggle('nowrap', !e.target.checked)
  if (e.target.matches('[data-follow]')) tend()
})
document.addEventListener('input', (e) => {
  if (!e.target.matches('[data-find]')) return
  for (const line of document.querySelector('[data-log]').children) line.classList.toggle('off', !!e.target.value && !line.textContent.includes(e.target.value))
})

// --- Live: when something has changed, the page is fetched again and the parts
// that differ are exchanged.
let busy = false, again = false, last = 0
const least = 200
const refresh = async () => {
  if (busy) { again = true; return }
  busy = true
  const wait = last + least - Date.now()
  if (wait > 0) await new Promise((done) => setTimeout(done, wait))
  last = Date.now()
  try {
    const reply = await fetch(location.href, { headers: { Accept: 'text/html' }, redirect: 'error' })
    if (reply.ok) exchange(new DOMParser().parseFromString(await reply.text(), 'text/html'))
  } catch { /* the stream comes back by itself */ }
  busy = false
  if (again) { again = false; refresh() }
}
const exchange = (fresh) => {
  for (const part of fresh.querySelectorAll('[data-live]')) {
    const old = document.querySelector(`[data-live="${part.dataset.live}"]`)
    if (!old || old.sent === part.innerHTML) continue
    const focus = document.activeElement
    if (old.contains(focus) && focus.matches('input, textarea, select') && !focus.matches('[data-find], [data-follow], [data-wrap]')) continue
    if ('keepChecked' in old.dataset && old.querySelector(':checked')) continue
    const node = old.contains(focus) && focus.dataset.node
    const found = old.querySelector('[data-find]')?.value, followed = old.querySelector('[data-follow]')?.checked
    const at = old.querySelector('[data-log]')?.scrollTop, wrapped = old.querySelector('[data-wrap]')?.checked
    old.innerHTML = part.innerHTML
    old.sent = part.innerHTML
    if (found !== undefined && old.querySelector('[data-find]')) old.querySelector('[data-find]').value = found
    if (followed !== undefined && old.querySelector('[data-follow]')) old.querySelector('[data-follow]').checked = followed
    if (wrapped === false && old.querySelector('[data-wrap]')) {
      old.querySelector('[data-wrap]').checked = false
      old.querySelector('[data-log]').classList.add('nowrap')
    }
    if (at !== undefined && followed === false) old.querySelector('[data-log]').scrollTop = at
    if (node) old.querySelector(`[data-node="${CSS.escape(node)}"]`)?.focus()
  }
  const before = root.dataset.run, state = fresh.querySelector('.head .state')
  if (before && !fresh.documentElement.dataset.run && state) {
    document.getElementById('said').textContent = 'The run has ended: ' + state.textContent.trim()
    delete root.dataset.run
  }
  root.dataset.fresh = Date.now()
  tend()
}
const listen = () => {
  const run = root.dataset.run
  if (run) {
    const events = new EventSource(`${base}/api/v1/runs/${encodeURIComponent(run)}/events?after=${root.dataset.seen}`)
    events.addEventListener('changes', refresh)
    events.addEventListener('end', () => { events.close(); refresh() })
    return
  }
  if (!document.querySelector('[data-live]') || document.querySelector('.head.run') || location.pathname.endsWith('/login')) return
  const events = new EventSource(base + '/live')
  events.addEventListener('changes', refresh)
  setInterval(() => { if (!document.hidden) refresh() }, 15000)
}
for (const part of document.querySelectorAll('[data-live]')) part.sent = part.innerHTML
tend()
listen()
root.dataset.ready = '1'
