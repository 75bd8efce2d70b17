/**
 * Each region as it stands now: what the machine counted, what the review that stands made of it, what I changed.
 * Decides what a verdict confirms: only what counted, or what a person named, is ever a defect.
 */
import type { BoxXyxy, DefectClass, Frame, Mark, MarkChange, Region, Review } from "../api/types";
import type { Word } from "./judgement";
import type { Before, DraftValues } from "./reviewDraft";
import { isTouched } from "./reviewDraft";

/** What a person made of a region; "confirmed" is what the machine said too. */
export type Said = "confirmed" | "dismissed" | "named a defect" | "corrected";

export interface RegionState {
  /** With its class as it stands now. */
  region: Region;
  defect: boolean;
  before: Before;
  /** Changed by my draft. */
  changed: boolean;
  /** What the review that stands made of it, and whose that is. */
  said: { what: Said; by: string; at: string } | null;
}

/** A region that a person drew: on no detection. */
export interface DrawnState {
  id: string;
  box_xyxy: BoxXyxy;
  defect_class: DefectClass;
  by: string;
}

export function standingOf(reviews: readonly Review[]): Review | null {
  return reviews.find((review) => review.stands) ?? null;
}

export function statesOf(
  frame: Pick<Frame, "regions" | "reviews">,
  draft: DraftValues,
  classes: readonly DefectClass[],
): RegionState[] {
  const standing = standingOf(frame.reviews);
  // A good part has no defects; who begins to correct it starts from what counted.
  const allGood = standing?.part === "good" && !isTouched(draft);
  return frame.regions.map((region) => {
    const before = beforeOf(region, standing);
    const defect = allGood ? false : (draft.defects[region.id] ?? before.defect);
    const wanted = draft.classes[region.id] ?? before.defectClass;
    const defectClass = classes.find(({ id }) => id === wanted) ?? region.defect_class;
    return {
      region: defectClass === region.defect_class ? region : { ...region, defect_class: defectClass },
      defect,
      before,
      changed: draft.defects[region.id] !== undefined || draft.classes[region.id] !== undefined,
      said: saidOf(region, standing),
    };
  });
}

/** Regions of the review that stands which nobody's model proposed. */
export function drawnIn(reviews: readonly Review[], classes: readonly DefectClass[]): DrawnState[] {
  const standing = standingOf(reviews);
  return (standing?.marks ?? []).flatMap((mark) => {
    const defectClass = classes.find(({ id }) => id === mark.defect_class);
    if (mark.detection !== null || defectClass === undefined || standing === null) return [];
    return [
      {
        id: `mark-${mark.id}`,
        box_xyxy: mark.box_xyxy,
        defect_class: defectClass,
        by: standing.reviewer,
      },
    ];
  });
}

/** The marks that go with a word: on a good part none, else each defect; unsure sends only what I named myself. */
export function marksFor(
  word: Word,
  frame: Pick<Frame, "regions" | "reviews">,
  draft: DraftValues,
  classes: readonly DefectClass[],
): MarkChange[] {
  if (word === "good") return [];
  const standing = standingOf(frame.reviews);
  const base: Pick<Frame, "regions" | "reviews"> =
    standing?.part === "good" ? { ...frame, reviews: [] } : frame;
  const mine = statesOf(base, draft, classes)
    .filter(({ defect, changed }) => defect && (word === "defective" || changed))
    .map(({ region }): MarkChange => ({
      detection: region.id,
      defect_class: region.defect_class.id,
      box_xyxy: markOf(region, standingOf(base.reviews))?.box_xyxy ?? region.box_xyxy,
      restored: !region.counts,
    }));
  const drawn = word === "defective" ? drawnIn(base.reviews, classes) : [];
  return [
    ...mine,
    ...drawn.map(({ box_xyxy, defect_class }) => ({
      detection: null,
      defect_class: defect_class.id,
      box_xyxy,
      restored: false,
    })),
  ];
}

/** Numbers of the regions that I named defects: a good part cannot have them. */
export function namedByMe(frame: Pick<Frame, "regions">, draft: DraftValues): number[] {
  return frame.regions.flatMap((region, index) => (draft.defects[region.id] === true ? [index + 1] : []));
}

function beforeOf(region: Region, standing: Review | null): Before {
  const mark = markOf(region, standing);
  const defectClass = mark?.defect_class ?? region.defect_class.id;
  return { defect: standing?.part === "defective" ? mark !== undefined : region.counts, defectClass };
}

function saidOf(region: Region, standing: Review | null): RegionState["said"] {
  if (standing === null) return null;
  const by = { by: standing.reviewer, at: standing.at };
  const mark = markOf(region, standing);
  if (mark === undefined) {
    return region.counts && standing.part !== "" ? { what: "dismissed", ...by } : null;
  }
  if (!mark.from_model) return { what: "corrected", ...by };
  return { what: region.counts ? "confirmed" : "named a defect", ...by };
}

function markOf(region: Region, standing: Review | null): Mark | undefined {
  return standing?.marks.find(({ detection }) => detection === region.id);
}
