# Generated from core/semblance/knobs.py by `make knobs`; changes belong there.
 addUserKnob {20 semblance l Semblance}
 addUserKnob {20 group_model l "model" n 1}
 addUserKnob {2 model l "model" t "Likeness model (.onnx, .adapter.json) that draws the face."}
 addUserKnob {1 likeness l "likeness" t "Name of the likeness inside the model; empty takes its only one."}
 addUserKnob {3 face l "face" t "Which tracked face of the plate is replaced, by its number." R 0 9}
 face "0"
 addUserKnob {20 end_model n -1}
 addUserKnob {20 group_colour l "colour" n 1}
 addUserKnob {1 input_space l "input space" t "Colour space of the plate, by its OCIO name; auto reads it from the file, else scene-linear Rec.709."}
 input_space "auto"
 addUserKnob {6 auto_exposure l "auto exposure" t "Bring the face to the level the network knows, steady over the shot." +STARTLINE}
 auto_exposure "true"
 addUserKnob {7 exposure l "exposure" t "Exposure of the network's view, added to the automatic one; the plate keeps its own. (stops)" R -4 4}
 exposure "0"
 addUserKnob {20 end_colour n -1}
 addUserKnob {20 group_track l "track" n 1}
 addUserKnob {2 track_file l "track file" t "Track of the performer's face (JSON, CSV, .nk); empty tracks the plate on the way."}
 addUserKnob {7 smoothing l "smoothing" t "Zero-phase smoothing of the track, as the deviation of its filter; 0 keeps it as it is. (frames)" R 0 3}
 smoothing "1"
 addUserKnob {20 end_track n -1}
 addUserKnob {20 group_identity l "identity" n 1}
 addUserKnob {7 identity_strength l "identity strength" t "Morph from the performer's own face (0) to the likeness (1), made in the network." R 0 1}
 identity_strength "1"
 addUserKnob {3 looks l "looks" t "Looks that the network takes at a face, from slightly other crops, and averages: more is steadier and slower." R 1 9}
 looks "9"
 addUserKnob {20 end_identity n -1}
 addUserKnob {20 group_mask l "mask" n 1}
 addUserKnob {4 mask_source l "source" t "Matte from the network, from the landmarks, from both, or from the roto input alone." M {learned hull learned_hull roto}}
 mask_source "learned_hull"
 addUserKnob {6 mask_brows l "brows" t "Replace the brows." +STARTLINE}
 mask_brows "true"
 addUserKnob {6 mask_eyes l "eyes" t "Replace the eyes." +STARTLINE}
 mask_eyes "true"
 addUserKnob {6 mask_nose l "nose" t "Replace the nose." +STARTLINE}
 mask_nose "true"
 addUserKnob {6 mask_mouth l "mouth" t "Replace the mouth." +STARTLINE}
 mask_mouth "true"
 addUserKnob {6 mask_cheeks l "cheeks" t "Replace the cheeks." +STARTLINE}
 mask_cheeks "true"
 addUserKnob {6 mask_jaw l "jaw" t "Replace the jaw and the chin." +STARTLINE}
 mask_jaw "true"
 addUserKnob {6 mask_forehead l "forehead" t "Replace the forehead." +STARTLINE}
 mask_forehead "true"
 addUserKnob {7 mask_grow l "grow" t "Grow the matte outward, or shrink it below 0. (% of face width)" R -10 10}
 mask_grow "0"
 addUserKnob {7 mask_feather l "feather" t "Soften the matte's edge. (% of face width)" R 0 20}
 mask_feather "8"
 addUserKnob {7 mask_gamma l "gamma" t "Shape the matte's fall-off: above 1 lifts its edge, below 1 lowers it." R 0.25 4}
 mask_gamma "1"
 addUserKnob {7 mask_occlusion l "occlusion" t "Hold out what passes in front of the face: hands, a microphone, hair." R 0 1}
 mask_occlusion "0.5"
 addUserKnob {4 roto_mode l "roto mode" t "How the roto input meets the matte: it holds out, stands instead of it, or adds to it." M {multiply replace add}}
 roto_mode "multiply"
 addUserKnob {2 roto_file l "roto file" t "Drawn shapes (JSON, from semblance view), laid over the roto input where there is one."}
 addUserKnob {20 end_mask n -1}
 addUserKnob {20 group_match l "match" n 1}
 addUserKnob {7 light_match l "light match" t "Give the face the plate's light, from what the network missed of the performer." R 0 1}
 light_match "1"
 addUserKnob {4 colour_match l "colour match" t "Bring the face's colour to the plate's: by mean and spread, by linear optimal transport, or by histogram." M {none mean linear histogram}}
 colour_match "none"
 addUserKnob {7 colour_amount l "amount" t "How much of the colour match is applied." R 0 1}
 colour_amount "1"
 addUserKnob {7 detail_match l "detail match" t "Bring the face's sharpness to the plate's." R 0 1}
 detail_match "0.5"
 addUserKnob {7 grain_match l "grain match" t "Lay the plate's own grain over the face." R 0 1}
 grain_match "1"
 addUserKnob {20 end_match n -1}
 addUserKnob {20 group_blend l "blend" n 1}
 addUserKnob {4 blend_mode l "mode" t "Composite by over, over several frequency bands, or in the gradient domain." M {over multiband poisson}}
 blend_mode "over"
 addUserKnob {7 mix l "mix" t "Dissolve between the plate (0) and the result (1)." R 0 1}
 mix "1"
 addUserKnob {20 end_blend n -1}
 addUserKnob {20 group_view l "view" n 1}
 addUserKnob {4 view l "view" t "The finished frame, or a look inside: the new face, the matte, the change, the track, the network's own picture." M {result patch matte difference landmarks canonical}}
 view "result"
 addUserKnob {20 end_view n -1}
