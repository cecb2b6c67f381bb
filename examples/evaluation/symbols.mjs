// Draws the codes and markers of the rendered pictures: node symbols.mjs FOLDER
// Needs the npm packages bwip-js (QR codes, barcodes) and js-aruco2 (fiducial markers), both MIT.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const bwip = require("bwip-js");
const { AR } = require("js-aruco2");
const dictionaries = ["ARUCO_4X4_1000", "ARUCO_5X5_1000", "ARUCO_6X6_1000", "APRILTAG_36h11", "ARUCO_MIP_36h12"];
for (const name of dictionaries) require(`js-aruco2/src/dictionaries/${name.toLowerCase()}`);

const codes = [
  ["qr_code", "qrcode", "https://example.org/parcel/4711"],
  ["qr_code", "qrcode", "WIFI:T:WPA;S:workshop;P:under the bench;;"],
  ["qr_code", "qrcode", "Shelf 12, bin C, 40 hinges, brass, counted on a Tuesday afternoon by two people"],
  ["qr_code", "qrcode", "TICKET-0815"],
  ["qr_code", "qrcode", "BEGIN:VCARD\nN:Museum of Tools\nTEL:5550100\nEND:VCARD"],
  ["qr_code", "qrcode", "geo:48.2,16.37"],
  ["barcode", "ean13", "4006381333931"],
  ["barcode", "ean13", "9780306406157"],
  ["barcode", "ean8", "96385074"],
  ["barcode", "upca", "036000291452"],
  ["barcode", "code128", "DF-2026-000417"],
  ["barcode", "code128", "PALLET 88 / 3"],
  ["barcode", "code39", "BIN-C12"],
  ["barcode", "interleaved2of5", "1540014128876"],
  ["barcode", "gs1-128", "(01)09521234543213(10)ABC123"],
  ["barcode", "rationalizedCodabar", "A40156B"],
];

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
for (const [number, [label, bcid, text]] of codes.entries()) {
  const shape = label === "barcode" ? { height: 9 + (number % 4) * 4, includetext: number % 3 !== 0, includecheck: true } : {};
  const png = await bwip.toBuffer({ bcid, text, scale: 6, padding: 4, backgroundcolor: "FFFFFF", ...shape });
  writeFileSync(join(folder, `${label}_${number}.png`), png);
}
for (const [number, name] of dictionaries.entries()) {
  const dictionary = new AR.Dictionary(name);
  for (const id of [3, 17, 42, 99].map((value) => value + number)) {
    const inner = dictionary.markSize - 2;
    const bits = [...dictionary.codeList[id]];
    const black = "0 ".repeat(inner + 2);
    const rows = [...Array(inner).keys()].map((row) => `0 ${bits.slice(row * inner, (row + 1) * inner).join(" ")} 0`);
    // A plain text bitmap (PGM): one number a module.
    const text = ["P2", `${inner + 2} ${inner + 2}`, "1", black, ...rows, black].join("\n");
    writeFileSync(join(folder, `aruco_${name}_${id}.pgm`), `${text}\n`);
  }
}
