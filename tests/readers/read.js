// Reads a file that riptide wrote with a program that is not riptide's, and prints what it found as
// JSON: node read.js KIND FILE [...]
"use strict";

const fs = require("fs");
const path = require("path");
const zlib = require("zlib");

const kinds = {
  // Sums of each sample type, and of live bytes by function.
  pprof([file]) {
    const { Profile } = require("pprof-format");
    const profile = Profile.decode(zlib.gunzipSync(fs.readFileSync(file)));
    const text = (place) => profile.stringTable.strings[Number(place)];
    const types = profile.sampleType.map((type) => text(type.type));
    const sums = Object.fromEntries(types.map((type) => [type, 0]));
    const functions = {};
    const locations = new Map(profile.location.map((one) => [String(one.id), one]));
    const names = new Map(profile.function.map((one) => [String(one.id), text(one.name)]));
    for (const sample of profile.sample) {
      sample.value.forEach((value, place) => { sums[types[place]] += Number(value); });
      const seen = new Set(sample.locationId.flatMap((id) =>
        locations.get(String(id)).line.map((line) => names.get(String(line.functionId)))));
      const live = Number(sample.value[types.indexOf("inuse_space")]);
      for (const name of seen) functions[name] = (functions[name] || 0) + live;
    }
    return { sums, functions };
  },

  // Problems that a JSON Schema has with each line of a file.
  schema([schema, file]) {
    const wanted = JSON.parse(fs.readFileSync(schema, "utf8"));
    const Ajv = wanted.$schema.includes("2020-12") ? require("ajv/dist/2020") : require("ajv");
    const ajv = new Ajv({ allErrors: true, strict: false, allowUnionTypes: true, unicodeRegExp: false });
    require("ajv-formats")(ajv);
    const check = ajv.compile(wanted);
    const text = fs.readFileSync(file, "utf8");
    let documents;
    try { documents = [JSON.parse(text)]; } catch { documents = text.trim().split("\n").map((line) => JSON.parse(line)); }
    const problems = [];
    for (const document of documents) {
      if (!check(document)) {
        problems.push(...check.errors.slice(0, 20).map((one) => `${one.instancePath} ${one.message} ${JSON.stringify(one.params)}`));
      }
    }
    return { documents: documents.length, problems };
  },

  // The report, as a reader of it sees and works it.
  html: (rest) => inChromium(async (page, [file, picture]) => {
    const requests = [];
    page.on("request", (request) => { if (request.url() !== `file://${file}`) requests.push(request.url()); });
    await page.goto(`file://${file}`);
    const text = (selector) => page.$eval(selector, (of) => of.textContent);
    const found = await page.evaluate(() => ({
      drawn: document.documentElement.dataset.drawn === "yes",
      title: document.querySelector("h1").textContent,
      live_bytes: Number(document.querySelector("#live-bytes data").value),
      live_objects: Number(document.querySelector("#live-objects data").value),
      scripts: document.scripts.length,
      images: document.images.length,
      pwned: Boolean(window.pwned),
      findings: [...document.querySelectorAll("#findings > .finding")].map((of) => ({
        verdict: of.querySelector(".verdict").textContent,
        function: of.querySelector("code").textContent,
        evidence: of.querySelectorAll(":scope > ul > li").length,
      })),
      points: document.querySelectorAll("#chart polyline").length,
      sites: [...document.querySelectorAll("#sites tbody tr")].map((row) => ({
        function: row.cells[0].querySelector("code").textContent,
        bytes: Number(row.cells[1].querySelector("data").value),
        objects: Number(row.cells[2].querySelector("data").value),
      })),
    }));
    const frames = () => page.$$eval("#graph .frame", (all) => all.map((of) => [of.textContent, Number(of.dataset.value)]));
    found.frames = await frames();
    found.totals = {};
    for (const metric of ["live-objects", "alloc-bytes", "alloc-objects", "growth", "live-bytes"]) {
      const button = await page.$(`[data-metric=${metric}]`);
      if (await button.evaluate((of) => of.disabled)) continue;
      await button.click();
      found.totals[metric] = (await frames())[0][1];
    }
    // The last frame of the graph becomes as wide as the graph, and Esc goes back.
    const wide = () => page.$$eval("#graph .frame", (all) => {
      const last = all.filter((of) => !of.classList.contains("above"))[0];
      return [last.textContent, last.getBoundingClientRect().width / last.parentElement.clientWidth];
    });
    const frame = (await page.$$("#graph .frame")).pop();
    const name = await frame.evaluate((of) => of.textContent);
    await frame.click();
    found.zoomed = { wanted: name, got: await wide(), reset: !(await page.$eval("#reset", (of) => of.disabled)) };
    await page.click("#reset");
    found.zoomed.back = (await wide())[0];
    await page.type("#search", name.slice(0, 12));
    found.hits = await page.$$eval("#graph .hit", (all) => all.length);
    found.found = await text("#found");
    await page.click("#sites thead th:nth-child(2) button");
    await page.click("#sites thead th:nth-child(2) button");
    found.ascending = await page.$$eval("#sites tbody tr", (rows) => rows.map((row) => Number(row.cells[1].querySelector("data").value)));
    if (picture) {
      for (const scheme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.screenshot({ path: `${picture}-${scheme}.png`, fullPage: true });
      }
    }
    found.requests = requests;
    return found;
  }, rest),

  // speedscope's own release, its table of functions.
  speedscope: (rest) => inChromium(async (page, [file, picture]) => {
    // Rows that are out of sight are not made.
    await page.setViewport({ width: 1280, height: 16000 });
    const script = `${file}.js`;
    const content = fs.readFileSync(file).toString("base64");
    fs.writeFileSync(script, `speedscope.loadFileFromBase64(${JSON.stringify(path.basename(file))}, ${JSON.stringify(content)})`);
    const release = path.join(path.dirname(require.resolve("speedscope/package.json")), "dist/release/index.html");
    await page.goto(`file://${release}#view=sandwich&localProfilePath=${encodeURIComponent(script.slice(1))}`);
    await page.waitForFunction(() => document.querySelectorAll("table tr, [class] tr").length > 1, { timeout: 60000 });
    const rows = await page.$$eval("tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    if (picture) await page.screenshot({ path: `${picture}-speedscope.png` });
    return { title: await page.title(), rows };
  }, rest),

  // The flame graph: the title of every frame.
  svg: (rest) => inChromium(async (page, [file, picture]) => {
    await page.goto(`file://${file}`);
    const found = await page.evaluate(() => ({
      frames: [...document.querySelectorAll("#frames g > title")].map((of) => of.textContent),
      drawn: document.querySelectorAll("#frames rect").length,
    }));
    if (picture) await page.screenshot({ path: `${picture}-svg.png` });
    return found;
  }, rest),
};

async function inChromium(work, rest) {
  const puppeteer = require("puppeteer-core");
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"],
  });
  try {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
    const found = await work(page, rest);
    return { ...found, errors };
  } finally {
    await browser.close();
  }
}

const [kind, ...rest] = process.argv.slice(2);
Promise.resolve(kinds[kind](rest)).then(
  (found) => console.log(JSON.stringify(found)),
  (error) => { console.error(error); process.exit(1); },
);
